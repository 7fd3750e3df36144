// net/http as most services in Go use it: the board is encoded for every request.
//
//	go-http BODY_FILE
package main

import (
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"os"
	"strconv"
)

type place struct {
	AnchorID   int64 `json:"anchor_id"`
	TotalWorth int64 `json:"total_worth"`
	Rank       int64 `json:"rank"`
}

type board struct {
	Code    int     `json:"code"`
	Message string  `json:"message"`
	Data    []place `json:"data"`
}

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "go-http:", err)
		os.Exit(1)
	}
}

func run() error {
	if len(os.Args) < 2 {
		return fmt.Errorf("the first argument is the file of a body")
	}
	body, err := os.ReadFile(os.Args[1])
	if err != nil {
		return err
	}
	var top board
	if err := json.Unmarshal(body, &top); err != nil {
		return err
	}
	http.HandleFunc("GET /gift/top", func(w http.ResponseWriter, _ *http.Request) {
		encoded, err := json.Marshal(&top)
		if err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
			return
		}
		w.Header().Set("Content-Type", "application/json")
		w.Header().Set("Content-Length", strconv.Itoa(len(encoded)))
		_, _ = w.Write(encoded)
	})
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	fmt.Printf("go-http ready http=%s\n", listener.Addr())
	return http.Serve(listener, nil)
}
