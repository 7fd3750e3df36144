// A client made with zinx, as its users write one: logs in, pulls, trades, and waits for the pushes.
// It prints each frame that it gets, id and data, and ends with the last push. `-old` speaks the
// layout of zinx before April 2023.
package main

import (
	"flag"
	"fmt"
	"os"
	"time"

	"github.com/aceld/zinx/zdecoder"
	"github.com/aceld/zinx/ziface"
	"github.com/aceld/zinx/zlog"
	"github.com/aceld/zinx/znet"
	"github.com/aceld/zinx/zpack"
)

// printed hands every frame of one id to the channel.
type printed struct {
	znet.BaseRouter
	frames chan ziface.IMessage
}

func (p *printed) Handle(request ziface.IRequest) { p.frames <- request.GetMessage() }

func main() {
	port := flag.Int("port", 8999, "where the room is, on this machine")
	customer := flag.String("customer", "900000000001", "who logs in")
	old := flag.Bool("old", false, "speak the layout of zinx before April 2023")
	flag.Parse()
	zlog.SetLogFile(os.TempDir(), "zinx-client.log")

	client := znet.NewClient("127.0.0.1", *port)
	if *old {
		client.SetPacket(zpack.Factory().NewPack(ziface.ZinxDataPackOld))
		client.SetDecoder(zdecoder.NewLTV_Little_Decoder())
	}
	frames := make(chan ziface.IMessage, 16)
	for _, id := range []uint32{0, 1, 2, 3, 4, 5, 101, 102} {
		client.AddRouter(id, &printed{frames: frames})
	}
	login := fmt.Sprintf(`{"customer_id":%q}`, *customer)
	client.SetOnConnStart(func(conn ziface.IConnection) { send(conn, 2, login) })
	client.Start()

	order := `{"exchange_type":"1","stock_code":"600000","quantity":200}`
	// What is sent after each answer; the pushes of a trade come behind its answer.
	next := map[uint32]func(ziface.IConnection){
		2: func(conn ziface.IConnection) { send(conn, 3, "") },
		3: func(conn ziface.IConnection) { send(conn, 4, order) },
	}
	sold := false
	for {
		select {
		case frame := <-frames:
			fmt.Printf("%d %s\n", frame.GetMsgID(), frame.GetData())
			if act := next[frame.GetMsgID()]; act != nil {
				act(client.Conn())
			}
			if frame.GetMsgID() == 102 {
				if sold {
					return
				}
				sold = true
				send(client.Conn(), 5, order)
			}
		case err := <-client.GetErrChan():
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		case <-time.After(time.Minute):
			fmt.Fprintln(os.Stderr, "no frame for a minute")
			os.Exit(1)
		}
	}
}

func send(conn ziface.IConnection, id uint32, data string) {
	if err := conn.SendMsg(id, []byte(data)); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}
