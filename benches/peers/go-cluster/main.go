// The first seed's gift board on Redis and MongoDB, as plain as Go can have it: a read is one
// ZREVRANGE, a send one document and then one ZINCRBY. Nothing joins the two when one is away.
//
//	go-cluster -redis 127.0.0.1:6379 -mongo mongodb://127.0.0.1:27017
//	go-cluster -redis 127.0.0.1:6379 -fill 100000
//
// With -fill it serves nobody, but puts so many anchors on its own board and on that of a Fanfare
// cluster, for measuring boards of that size without giving every gift first.
package main

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"math"
	"net"
	"net/http"
	"os"
	"strconv"
	"time"

	"github.com/redis/go-redis/v9"
	"go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"
	"go.mongodb.org/mongo-driver/v2/mongo/writeconcern"
)

const board = "gift:top"

// Anchors of one pipeline while filling.
const fillChunk = 5000

type gift struct {
	AudienceID int64 `json:"audience_id" bson:"audience_id"`
	AnchorID   int64 `json:"anchor_id" bson:"anchor_id"`
	Worth      int64 `json:"worth" bson:"worth"`
	Time       int64 `json:"-" bson:"time"`
}

type place struct {
	AnchorID   int64 `json:"anchor_id"`
	TotalWorth int64 `json:"total_worth"`
	Rank       int   `json:"rank"`
}

type answer struct {
	Code    int     `json:"code"`
	Message string  `json:"message"`
	Data    []place `json:"data"`
}

func main() {
	redisAddr := flag.String("redis", "127.0.0.1:6379", "where Redis listens")
	mongoURI := flag.String("mongo", "mongodb://127.0.0.1:27017", "where MongoDB listens")
	listen := flag.String("listen", "127.0.0.1:0", "where to listen")
	anchors := flag.Int64("fill", 0, "put so many anchors on the boards, and end")
	flag.Parse()

	client := redis.NewClient(&redis.Options{Addr: *redisAddr})
	if *anchors > 0 {
		check(fill(context.Background(), client, *anchors))
		return
	}
	concern := writeconcern.Majority()
	journaled := true
	concern.Journal = &journaled
	record, err := mongo.Connect(options.Client().ApplyURI(*mongoURI).SetWriteConcern(concern))
	check(err)
	gifts := record.Database("go_peer").Collection("gifts")
	http.HandleFunc("/gift/top", func(w http.ResponseWriter, r *http.Request) { top(w, r, client) })
	http.HandleFunc("/gift/send", func(w http.ResponseWriter, r *http.Request) {
		send(w, r, client, gifts)
	})
	listener, err := net.Listen("tcp", *listen)
	check(err)
	fmt.Printf("go-cluster ready http=%s\n", listener.Addr())
	check(http.Serve(listener, nil))
}

func top(w http.ResponseWriter, r *http.Request, client *redis.Client) {
	found, err := client.ZRevRangeWithScores(r.Context(), board, 0, 9).Result()
	if err != nil {
		http.Error(w, `{"code":503,"message":"redis"}`, http.StatusServiceUnavailable)
		return
	}
	places := make([]place, 0, len(found))
	for index, z := range found {
		id, _ := strconv.ParseInt(z.Member.(string), 10, 64)
		places = append(places, place{id, int64(z.Score), index + 1})
	}
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(answer{0, "success", places})
}

func send(w http.ResponseWriter, r *http.Request, client *redis.Client, gifts *mongo.Collection) {
	var g gift
	if err := json.NewDecoder(r.Body).Decode(&g); err != nil {
		http.Error(w, `{"code":400,"message":"bad request"}`, http.StatusBadRequest)
		return
	}
	g.Time = time.Now().Unix()
	if _, err := gifts.InsertOne(r.Context(), g); err != nil {
		http.Error(w, `{"code":503,"message":"mongo"}`, http.StatusServiceUnavailable)
		return
	}
	member := strconv.FormatInt(g.AnchorID, 10)
	if err := client.ZIncrBy(r.Context(), board, float64(g.Worth), member).Err(); err != nil {
		http.Error(w, `{"code":503,"message":"redis"}`, http.StatusServiceUnavailable)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	_, _ = w.Write([]byte(`{"code":0,"message":"success"}`))
}

// fill writes both boards as their programs would have them; see src/gift/cluster/redis_view.rs.
func fill(ctx context.Context, client *redis.Client, anchors int64) error {
	prefix := "{fanfare:gift}:"
	current, err := client.Get(ctx, prefix+"current").Result()
	if err != nil {
		return fmt.Errorf("there is no Fanfare cluster on this Redis: %w", err)
	}
	scores, places := prefix+current+":all:0:scores", prefix+current+":all:0:places"
	now := time.Now().UnixMicro()
	inverted := func(number int64) string { return fmt.Sprintf("%020d", math.MaxInt64-number) }
	for first := int64(1); first <= anchors; first += fillChunk {
		pipe := client.Pipeline()
		for id := first; id < first+fillChunk && id <= anchors; id++ {
			total := 1 + id*7919%1000003
			value := fmt.Sprintf("%020d", total) + inverted(now)
			pipe.HSet(ctx, scores, inverted(id), value)
			pipe.ZAdd(ctx, places, redis.Z{Member: value + inverted(id)})
			pipe.ZAdd(ctx, board, redis.Z{Score: float64(total), Member: id})
		}
		if _, err := pipe.Exec(ctx); err != nil {
			return err
		}
	}
	return client.HSet(ctx, scores, "newest", inverted(now)).Err()
}

func check(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}
