// The first seed's way to send a gift, as plain as Go can have it: JSON in, one ZINCRBY, JSON out.
// It keeps no journal, so it is measured without the cost of one.
//
//	go-gift -redis 127.0.0.1:6379
package main

import (
	"encoding/json"
	"flag"
	"fmt"
	"net"
	"net/http"
	"os"
	"strconv"

	"github.com/redis/go-redis/v9"
)

type gift struct {
	AudienceID int64 `json:"audience_id"`
	AnchorID   int64 `json:"anchor_id"`
	Worth      int64 `json:"worth"`
}

func main() {
	redisAddr := flag.String("redis", "127.0.0.1:6379", "where Redis listens")
	listen := flag.String("listen", "127.0.0.1:0", "where to listen")
	flag.Parse()

	client := redis.NewClient(&redis.Options{Addr: *redisAddr})
	http.HandleFunc("/gift/send", func(w http.ResponseWriter, r *http.Request) {
		var g gift
		if err := json.NewDecoder(r.Body).Decode(&g); err != nil {
			http.Error(w, `{"code":400,"message":"bad request"}`, http.StatusBadRequest)
			return
		}
		member := strconv.FormatInt(g.AnchorID, 10)
		if err := client.ZIncrBy(r.Context(), "gift:top", float64(g.Worth), member).Err(); err != nil {
			http.Error(w, `{"code":503,"message":"redis"}`, http.StatusServiceUnavailable)
			return
		}
		w.Header().Set("Content-Type", "application/json")
		_, _ = w.Write([]byte(`{"code":0,"message":"success"}`))
	})

	listener, err := net.Listen("tcp", *listen)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	fmt.Printf("go-gift ready http=%s\n", listener.Addr())
	fmt.Fprintln(os.Stderr, http.Serve(listener, nil))
	os.Exit(1)
}
