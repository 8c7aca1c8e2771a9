package session

import (
	"fmt"
	"os"
	"testing"
)

// TestMain gives the stores of the benchmarks a folder that outlives each of them.
func TestMain(m *testing.M) { os.Exit(run(m)) }

func run(m *testing.M) int {
	// A memory file system, where there is one: what the benchmarks read is cached
	// by the system anyway, and filling the store is then minutes faster.
	where := "/dev/shm"
	if _, err := os.Stat(where); err != nil {
		where = ""
	}
	dir, err := os.MkdirTemp(where, "secondgate-session-")
	if err != nil {
		fmt.Fprintln(os.Stderr, "making a folder:", err)
		return 1
	}
	defer os.RemoveAll(dir)
	stores.dir = dir
	defer func() {
		for _, s := range stores.made {
			_ = s.Close()
		}
	}()
	return m.Run()
}
