// The seed's way to hand out a red packet, as plain as Go can have it: the user's count is checked in
// Redis, chance decides, a prepared packet is popped, the count goes up. What is written down later
// is left out, so nothing that it answers survives a crash, and it is measured without that cost. With
// -mongo a goroutine writes it down, after the answer as the seed's queue did, and as fast as it can.
//
//	go-rain -redis 127.0.0.1:6379 -packets 1000000 -win 1 -per-user 1000000
//	go-rain -redis 127.0.0.1:6379 -mongo mongodb://127.0.0.1:27017
package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"strconv"
	"time"

	"github.com/redis/go-redis/v9"
	"go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"
)

// What waits to be written down; beyond it answers wait.
const laterMax = 1 << 20

type packet struct {
	ID   int64  `bson:"_id"`
	UID  string `bson:"uid"`
	Time int64  `bson:"time"`
}

type envelope struct {
	ID       int64 `json:"envelope_id"`
	MaxCount int64 `json:"max_count"`
	CurCount int64 `json:"cur_count"`
}

type answer struct {
	Code int    `json:"code"`
	Msg  string `json:"msg"`
	Data any    `json:"data"`
}

func main() {
	redisAddr := flag.String("redis", "127.0.0.1:6379", "where Redis listens")
	listen := flag.String("listen", "127.0.0.1:0", "where to listen")
	packets := flag.Int("packets", 1_000_000, "packets to prepare")
	win := flag.Float64("win", 1, "part of the draws that win")
	perUser := flag.Int64("per-user", 1_000_000, "packets for one user")
	mongoURI := flag.String("mongo", "", "where to write packets down, after they were answered")
	flag.Parse()

	client := redis.NewClient(&redis.Options{Addr: *redisAddr})
	if err := fill(client, *packets); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	var later chan packet
	if *mongoURI != "" {
		record, err := mongo.Connect(options.Client().ApplyURI(*mongoURI))
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		later = make(chan packet, laterMax)
		// Of its own, since every start hands out the same packets.
		name := fmt.Sprintf("go_rain_%d", time.Now().UnixMilli())
		go writeDown(record.Database(name).Collection("packets"), later)
	}
	http.HandleFunc("/snatch", func(w http.ResponseWriter, r *http.Request) {
		uid := r.FormValue("uid")
		count, err := client.Get(r.Context(), "count:"+uid).Int64()
		if err != nil && !errors.Is(err, redis.Nil) {
			http.Error(w, `{"code":12,"msg":"redis"}`, http.StatusServiceUnavailable)
			return
		}
		if count >= *perUser {
			say(w, answer{3, "no snatches left", nil})
			return
		}
		if rand.Float64() >= *win {
			say(w, answer{4, "no luck this time", nil})
			return
		}
		popped, err := client.LPop(r.Context(), "pool").Result()
		if errors.Is(err, redis.Nil) {
			say(w, answer{6, "all packets are gone", nil})
			return
		}
		if err == nil {
			count, err = client.Incr(r.Context(), "count:"+uid).Result()
		}
		if err != nil {
			http.Error(w, `{"code":12,"msg":"redis"}`, http.StatusServiceUnavailable)
			return
		}
		id, _ := strconv.ParseInt(popped, 10, 64)
		if later != nil {
			later <- packet{id, uid, time.Now().Unix()}
		}
		say(w, answer{0, "success", envelope{id, *perUser, count}})
	})

	listener, err := net.Listen("tcp", *listen)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	fmt.Printf("go-rain ready http=%s\n", listener.Addr())
	fmt.Fprintln(os.Stderr, http.Serve(listener, nil))
	os.Exit(1)
}

// writeDown inserts one packet after the other; what fails is lost.
func writeDown(packets *mongo.Collection, later <-chan packet) {
	for one := range later {
		if _, err := packets.InsertOne(context.Background(), one); err != nil {
			fmt.Fprintln(os.Stderr, err)
		}
	}
}

func say(w http.ResponseWriter, a answer) {
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(a)
}

// fill prepares the pool, a thousand packets a command.
func fill(client *redis.Client, packets int) error {
	ctx := context.Background()
	for first := 1; first <= packets; first += 1000 {
		ids := make([]any, 0, 1000)
		for id := first; id < first+1000 && id <= packets; id++ {
			ids = append(ids, id)
		}
		if err := client.RPush(ctx, "pool", ids...).Err(); err != nil {
			return err
		}
	}
	return nil
}
