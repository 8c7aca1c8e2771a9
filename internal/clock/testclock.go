//go:build testclock

package clock

import (
	"bufio"
	"fmt"
	"net"
	"os"
	"strings"
	"sync/atomic"
	"time"
)

// Movable reports whether tests can move this build's clock.
const Movable = true

// SocketVariable names the environment variable that holds the path of the Unix
// socket on which a test build takes orders: a line with a duration ("10m",
// "-1h") sets by how much the clock is ahead, and is answered with "ok".
const SocketVariable = "SECONDGATE_TESTCLOCK"

var offset atomic.Int64

// Now returns the current time, moved by what the tests asked for.
func Now() time.Time { return time.Now().Add(time.Duration(offset.Load())) }

func init() {
	path := os.Getenv(SocketVariable)
	if path == "" {
		return
	}
	_ = os.Remove(path)
	l, err := net.Listen("unix", path)
	if err != nil {
		panic(fmt.Sprintf("test clock: %v", err))
	}
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go serve(c)
		}
	}()
}

func serve(c net.Conn) {
	defer c.Close()
	lines := bufio.NewScanner(c)
	for lines.Scan() {
		d, err := time.ParseDuration(strings.TrimSpace(lines.Text()))
		if err != nil {
			fmt.Fprintln(c, "error: not a duration")
			continue
		}
		offset.Store(int64(d))
		fmt.Fprintln(c, "ok")
	}
}
