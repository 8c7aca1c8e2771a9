package badger

import (
	"path/filepath"
	"testing"
	"time"

	"github.com/secondgate/secondgate/internal/seal"
	"github.com/secondgate/secondgate/mfa"
	"github.com/secondgate/secondgate/store/storetest"
)

func newKeys(t testing.TB) *seal.Keyset {
	t.Helper()
	keys, err := seal.NewKeys()
	if err != nil {
		t.Fatal(err)
	}
	return keys
}

func openAt(t testing.TB, o Options) *Store {
	t.Helper()
	s, err := Open(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

func newOptions(t testing.TB) Options {
	t.Helper()
	return Options{Dir: filepath.Join(t.TempDir(), "store"), Keys: newKeys(t), MinFree: 1}
}

func TestStore_keepsItsPromises(t *testing.T) {
	storetest.Run(t, func(t *testing.T) mfa.Store { return openAt(t, newOptions(t)) })
}

func TestStore_keepsItsPromisesAfterARestart(t *testing.T) {
	storetest.RunReopen(t, func(t *testing.T) (mfa.Store, func() mfa.Store) {
		o := newOptions(t)
		s := openAt(t, o)
		return s, func() mfa.Store {
			if err := s.Close(); err != nil {
				t.Fatal(err)
			}
			return openAt(t, o)
		}
	})
}

func TestStore_forgetsEventsInTime(t *testing.T) {
	storetest.RunRetention(t, func(t *testing.T, now func() time.Time) mfa.Store {
		o := newOptions(t)
		o.Now, o.KeepEvents = now, storetest.Keep
		return openAt(t, o)
	})
}
