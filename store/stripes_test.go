package store

import (
	"context"
	"sync"
	"testing"
)

func TestStripes_namesInAnyOrderNeverBlockEachOther(t *testing.T) {
	s := NewStripes()
	var wg sync.WaitGroup
	for i := range 16 {
		wg.Go(func() {
			names := []string{"a", "b", "c", "a"}
			if i%2 == 0 {
				names = []string{"c", "a", "b"}
			}
			for range 500 {
				unlock, err := s.Lock(context.Background(), names...)
				if err != nil {
					t.Error(err)
					return
				}
				unlock()
			}
		})
	}
	wg.Wait()
}
