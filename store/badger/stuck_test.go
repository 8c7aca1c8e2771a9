package badger

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/secondgate/secondgate/mfa"
)

// When the system refuses the file of the next table, Badger goes on without one
// and ends the process at the next read. A gateway must refuse instead.
func TestStore_NoNewTableIsNoPanic(t *testing.T) {
	o := newOptions(t)
	s, err := Open(o)
	if err != nil {
		t.Fatal(err)
	}
	ctx := t.Context()
	in := filepath.Join(o.Dir, "00002.mem")
	if err := os.WriteFile(in, make([]byte, 64), 0o600); err != nil {
		t.Fatal(err)
	}
	big := make([]byte, 100<<10)
	kept := 0
	for ; kept < 200; kept++ {
		err = s.CreateUser(ctx, &mfa.User{ID: mfa.UserID(fmt.Sprint("u", kept)), Source: "local", Subject: fmt.Sprint("n", kept), Name: fmt.Sprint("n", kept), Password: big})
		if err != nil {
			break
		}
	}
	if err == nil {
		t.Fatal("the next table was made all the same; does Badger name its files otherwise now?")
	}
	if _, err := s.User(ctx, "u0"); !errors.Is(err, ErrStuck) {
		t.Errorf("a read afterwards: %v", err)
	}
	if err := s.UpdateUser(ctx, "u0", func(u *mfa.User) error { u.Disabled = true; return nil }); !errors.Is(err, ErrStuck) {
		t.Errorf("a write afterwards: %v", err)
	}
	_ = s.Close()
	if err := os.Remove(in); err != nil && !errors.Is(err, os.ErrNotExist) {
		t.Fatal(err)
	}
	s = openAt(t, o)
	for i := range kept {
		if _, err := s.User(ctx, mfa.UserID(fmt.Sprint("u", i))); err != nil {
			t.Fatalf("user %d of %d that were acknowledged: %v", i, kept, err)
		}
	}
}
