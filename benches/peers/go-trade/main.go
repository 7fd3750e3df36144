// What the trading room is measured against: it answers heartbeats and does nothing else. With
// `-zinx` as users of zinx write it, else with a goroutine and a buffered reader for each connection.
package main

import (
	"bufio"
	"encoding/binary"
	"flag"
	"fmt"
	"io"
	"net"
	"os"

	"github.com/aceld/zinx/zconf"
	"github.com/aceld/zinx/ziface"
	"github.com/aceld/zinx/zlog"
	"github.com/aceld/zinx/znet"
)

const heartbeat = 99999

func main() {
	useZinx := flag.Bool("zinx", false, "serve with zinx")
	flag.Parse()
	if *useZinx {
		serveZinx()
	} else {
		servePlain()
	}
}

type beat struct{ znet.BaseRouter }

func (b *beat) Handle(request ziface.IRequest) {
	if err := request.GetConnection().SendMsg(heartbeat, []byte("{}")); err != nil {
		fmt.Fprintln(os.Stderr, err)
	}
}

func serveZinx() {
	zlog.SetLogFile(os.TempDir(), "go-trade.log")
	// It takes no port 0.
	free, err := net.Listen("tcp", "127.0.0.1:0")
	check(err)
	port := free.Addr().(*net.TCPAddr).Port
	check(free.Close())
	zconf.GlobalObject.Host, zconf.GlobalObject.TCPPort = "127.0.0.1", port
	zconf.GlobalObject.LogIsolationLevel = 3
	server := znet.NewServer()
	server.AddRouter(heartbeat, &beat{})
	go server.Serve()
	for {
		// Until somebody listens.
		probe, err := net.Dial("tcp", fmt.Sprintf("127.0.0.1:%d", port))
		if err == nil {
			check(probe.Close())
			break
		}
	}
	fmt.Printf("go-trade ready http=127.0.0.1:%d\n", port)
	select {}
}

func servePlain() {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	check(err)
	fmt.Printf("go-trade ready http=%s\n", listener.Addr())
	for {
		conn, err := listener.Accept()
		check(err)
		go serve(conn)
	}
}

func serve(conn net.Conn) {
	defer conn.Close()
	reader := bufio.NewReader(conn)
	answer := make([]byte, 10)
	binary.BigEndian.PutUint32(answer, heartbeat)
	binary.BigEndian.PutUint32(answer[4:], 2)
	copy(answer[8:], "{}")
	header := make([]byte, 8)
	for {
		if _, err := io.ReadFull(reader, header); err != nil {
			return
		}
		length := binary.BigEndian.Uint32(header[4:])
		if length > 4096 {
			return
		}
		if _, err := reader.Discard(int(length)); err != nil {
			return
		}
		if _, err := conn.Write(answer); err != nil {
			return
		}
	}
}

func check(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}
