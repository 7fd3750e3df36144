// A client made with zinx, as its users write one: logs in, pulls, trades, and waits for the pushes.
// It prints each frame that it gets, id and data, and ends after a sale. `-old` speaks the
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
	// zinx handles each frame on a goroutine of its own, so they come here in any order: what is sent
	// next waits for all that the last message brings.
	steps := []struct {
		frames int
		id     uint32
		data   string
	}{
		{2, 3, ""},    // the welcome and the login
		{1, 4, order}, // the holdings
		{3, 5, order}, // the purchase and its pushes
		{3, 0, ""},    // the sale and its pushes
	}
	for _, step := range steps {
		for i := 0; i < step.frames; i++ {
			select {
			case frame := <-frames:
				fmt.Printf("%d %s\n", frame.GetMsgID(), frame.GetData())
			case err := <-client.GetErrChan():
				fail(err)
			case <-time.After(time.Minute):
				fail(fmt.Errorf("no frame for a minute"))
			}
		}
		if step.id != 0 {
			send(client.Conn(), step.id, step.data)
		}
	}
}

func fail(err error) {
	fmt.Fprintln(os.Stderr, err)
	os.Exit(1)
}

func send(conn ziface.IConnection, id uint32, data string) {
	if err := conn.SendMsg(id, []byte(data)); err != nil {
		fail(err)
	}
}
