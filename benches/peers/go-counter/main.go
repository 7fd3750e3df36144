// The counter service as it is usually written, as plain as Go can have it: net/http, and one Redis
// command per call (INCRBY, GET, MGET). It keeps no journal, no windows and no keys of retries.
//
//	go-counter -redis 127.0.0.1:6379
package main

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"net"
	"net/http"
	"os"
	"strconv"
	"time"

	"github.com/redis/go-redis/v9"
)

type name struct {
	ResourceID  string `json:"resource_id"`
	CounterType string `json:"counter_type"`
}

func (n name) key() string { return "counter:" + n.ResourceID + ":" + n.CounterType }

type increment struct {
	name
	Delta int64 `json:"delta"`
}

type batch struct {
	Items []name `json:"items"`
}

type counted struct {
	name
	CurrentValue int64 `json:"current_value"`
}

type answer struct {
	Success   bool  `json:"success"`
	Data      any   `json:"data"`
	Timestamp int64 `json:"timestamp"`
}

func send(w http.ResponseWriter, data any, err error) {
	if err != nil {
		http.Error(w, `{"error":"redis"}`, http.StatusServiceUnavailable)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(answer{Success: true, Data: data, Timestamp: time.Now().Unix()})
}

// Reads a body of JSON; answers by itself when it is none.
func decode(w http.ResponseWriter, r *http.Request, into any) bool {
	if err := json.NewDecoder(r.Body).Decode(into); err != nil {
		http.Error(w, `{"error":"bad request"}`, http.StatusBadRequest)
		return false
	}
	return true
}

func many(ctx context.Context, client *redis.Client, items []name) ([]counted, error) {
	keys := make([]string, len(items))
	for i, item := range items {
		keys[i] = item.key()
	}
	values, err := client.MGet(ctx, keys...).Result()
	if err != nil {
		return nil, err
	}
	results := make([]counted, len(items))
	for i, value := range values {
		results[i].name = items[i]
		if text, ok := value.(string); ok {
			results[i].CurrentValue, _ = strconv.ParseInt(text, 10, 64)
		}
	}
	return results, nil
}

func main() {
	redisAddr := flag.String("redis", "127.0.0.1:6379", "where Redis listens")
	listen := flag.String("listen", "127.0.0.1:0", "where to listen")
	flag.Parse()

	client := redis.NewClient(&redis.Options{Addr: *redisAddr})
	http.HandleFunc("GET /health", func(w http.ResponseWriter, r *http.Request) {
		send(w, "ok", nil)
	})
	http.HandleFunc("POST /api/v1/counter/increment", func(w http.ResponseWriter, r *http.Request) {
		var one increment
		if !decode(w, r, &one) {
			return
		}
		if one.Delta == 0 {
			one.Delta = 1
		}
		value, err := client.IncrBy(r.Context(), one.key(), one.Delta).Result()
		send(w, counted{one.name, value}, err)
	})
	http.HandleFunc("GET /api/v1/counter/{resource}/{type}", func(w http.ResponseWriter, r *http.Request) {
		one := name{r.PathValue("resource"), r.PathValue("type")}
		value, err := client.Get(r.Context(), one.key()).Int64()
		if err == redis.Nil {
			err = nil
		}
		send(w, counted{one, value}, err)
	})
	http.HandleFunc("POST /api/v1/counter/batch", func(w http.ResponseWriter, r *http.Request) {
		var b batch
		if !decode(w, r, &b) {
			return
		}
		results, err := many(r.Context(), client, b.Items)
		send(w, map[string]any{"results": results, "total": len(results)}, err)
	})

	listener, err := net.Listen("tcp", *listen)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	fmt.Printf("go-counter ready http=%s\n", listener.Addr())
	fmt.Fprintln(os.Stderr, http.Serve(listener, nil))
	os.Exit(1)
}
