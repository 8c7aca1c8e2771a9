package caddymodule

import (
	"sync"

	"github.com/secondgate/secondgate/internal/seal"
)

// The tests here are not about hashes. At the cost of production, those of the race
// detector's copies of 64 MiB each would be most of what they do; the end-to-end tests
// pay it.
func init() {
	hasher = sync.OnceValues(func() (*seal.Hasher, error) { return seal.NewHasher(seal.HasherConfig{Params: seal.CodeParams}) })
}
