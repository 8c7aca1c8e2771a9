package e2e

import (
	"os"
	"sync"
	"sync/atomic"
)

// scratch is the directory that lives as long as the test process.
var scratch atomic.Pointer[string]

var scratchDir = sync.OnceValues(func() (string, error) {
	dir, err := os.MkdirTemp("", "secondgate-e2e")
	if err == nil {
		scratch.Store(&dir)
	}
	return dir, err
})
