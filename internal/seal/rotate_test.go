package seal

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
)

// rowVault is a row of a database that several nodes share: keys must not stand there in
// plain text.
type rowVault struct {
	mu   sync.Mutex
	text []byte
}

func (v *rowVault) Read(context.Context) ([]byte, error) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.text == nil {
		return nil, fs.ErrNotExist
	}
	return bytes.Clone(v.text), nil
}

func (v *rowVault) Replace(_ context.Context, old, next []byte) error {
	v.mu.Lock()
	defer v.mu.Unlock()
	if (old == nil) != (v.text == nil) || !bytes.Equal(old, v.text) {
		return ErrReplaced
	}
	v.text = bytes.Clone(next)
	return nil
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func newMaster(t *testing.T) *Master {
	t.Helper()
	m, err := ParseMaster(NewMaster())
	must(t, err)
	return m
}

func statuses(ks *Keyset) string {
	var list []string
	for _, k := range ks.Keys() {
		list = append(list, string(k.Status))
	}
	return strings.Join(list, " ")
}

var at = time.Date(2026, 11, 27, 12, 0, 0, 0, time.UTC)

// AC-197: a rotation from its beginning to its end, with a box that lives through it.
func TestKeyset_AC197_rotates(t *testing.T) {
	path := filepath.Join(t.TempDir(), "keys.json")
	ks, err := CreateKeys(ctx, FileVault(path), nil)
	must(t, err)
	before, err := os.ReadFile(path)
	must(t, err)
	box, names := ks.Box("store"), ks.NameKey()
	sealed := box.Seal([]byte("x"), nil)
	changes := 0
	defer ks.OnChange(func() { changes++ })()
	oldID := ks.Keys()[0].ID

	id, err := ks.Begin(ctx, at)
	must(t, err)
	if _, err := ks.Begin(ctx, at); !errors.Is(err, ErrRotating) {
		t.Errorf("a second one at once: %v", err)
	}
	if got := statuses(ks); got != "primary pending" {
		t.Fatal(got)
	}
	if !box.Current(box.Seal([]byte("y"), nil)) || ks.Derived("session")[0].ID != oldID || len(ks.Derived("session")) != 2 {
		t.Error("something is made with a key that only waits, or it does not verify")
	}
	must(t, ks.Promote(ctx, id, at))
	if got := statuses(ks); got != "primary decrypt_only" || ks.Keys()[0].ID != id {
		t.Fatal(got)
	}
	if got, err := box.Open(sealed, nil); err != nil || string(got) != "x" || box.Current(sealed) {
		t.Errorf("what the old key sealed: %q, %v", got, err)
	}
	renewed := box.Seal([]byte("x"), nil)
	loaded, err := OpenKeys(ctx, FileVault(path), nil)
	must(t, err)
	if !loaded.Box("store").Current(renewed) || statuses(loaded) != "primary decrypt_only" {
		t.Error("the file has other keys than the memory")
	}
	must(t, ks.Revoke(ctx, oldID, at))
	if len(ks.Derived("session")) != 1 {
		t.Error("a retired key verifies tokens")
	}
	if _, err := box.Open(sealed, nil); err != nil {
		t.Errorf("a retired key opens no records: %v", err)
	}
	must(t, ks.Remove(ctx, oldID))
	if _, err := box.Open(sealed, nil); !errors.Is(err, ErrOpen) {
		t.Errorf("a key that was removed still opens: %v", err)
	}
	if !bytes.Equal(names, ks.NameKey()) {
		t.Error("counters of unknown names begin anew at a rotation")
	}
	loaded, err = OpenKeys(ctx, FileVault(path), nil)
	must(t, err)
	if !bytes.Equal(names, loaded.NameKey()) {
		t.Error("counters of unknown names begin anew at a restart after a rotation")
	}
	if changes != 4 {
		t.Errorf("%d changes were told", changes)
	}
	for what, err := range map[string]error{
		"removing the primary one": ks.Remove(ctx, id), "revoking the primary one": ks.Revoke(ctx, id, at),
		"removing none": ks.Remove(ctx, "00000000"), "promoting none": ks.Promote(ctx, id, at),
	} {
		if !errors.Is(err, ErrNoKey) {
			t.Errorf("%s: %v", what, err)
		}
	}
	// The old file is put back while the gateway runs: it goes on with what it has.
	must(t, os.WriteFile(path, before, 0o600))
	if err := ks.Refresh(ctx); !errors.Is(err, ErrOlder) {
		t.Errorf("the old file put back: %v", err)
	}
	if _, err := ks.Begin(ctx, at); !errors.Is(err, ErrOlder) {
		t.Errorf("a change on top of the old file: %v", err)
	}
	if _, err := box.Open(renewed, nil); err != nil {
		t.Error("the keys in memory were given up for older ones")
	}
}

// AC-197: stolen keys are worth nothing from that moment on, nor is what waited beside
// them, nor what outlives other rotations.
func TestKeyset_AC197_compromised(t *testing.T) {
	ks := newKeys(t)
	names := ks.NameKey()
	sealed := ks.Box("store").Seal([]byte("x"), nil)
	waiting, err := ks.Begin(ctx, at)
	must(t, err)
	id, err := ks.Compromised(ctx, at)
	must(t, err)
	if got := statuses(ks); got != "primary retired" || ks.Keys()[0].ID != id || id == waiting {
		t.Errorf("keys: %s", got)
	}
	if list := ks.Derived("session"); len(list) != 1 || list[0].ID != id {
		t.Errorf("%d keys verify tokens", len(list))
	}
	if bytes.Equal(names, ks.NameKey()) {
		t.Error("the thief can still mark browsers as known")
	}
	if _, err := ks.Box("store").Open(sealed, nil); err != nil {
		t.Error("the records of everybody are lost")
	}
}

// Two nodes, and two operators at once: neither tears the other's change.
func TestKeyset_AC197_severalNodes(t *testing.T) {
	v, m := new(rowVault), newMaster(t)
	a, err := CreateKeys(ctx, v, m)
	must(t, err)
	b, err := OpenKeys(ctx, v, m)
	must(t, err)
	var wg sync.WaitGroup
	var begun, refused int
	var mu sync.Mutex
	for _, ks := range []*Keyset{a, b, a, b} {
		wg.Go(func() {
			_, err := ks.Begin(ctx, at)
			mu.Lock()
			defer mu.Unlock()
			switch {
			case err == nil:
				begun++
			case errors.Is(err, ErrRotating):
				refused++
			default:
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if begun != 1 || refused != 3 {
		t.Errorf("%d began and %d were refused", begun, refused)
	}
	must(t, a.Refresh(ctx))
	must(t, b.Refresh(ctx))
	var waiting string
	for _, k := range b.Keys() {
		if k.Status == Pending {
			waiting = k.ID
		}
	}
	// One knows of it before the other: each reads what the other makes.
	must(t, a.Promote(ctx, waiting, at))
	fromA, fromB := a.Box("s").Seal([]byte("a"), nil), b.Box("s").Seal([]byte("b"), nil)
	if _, err := b.Box("s").Open(fromA, nil); err != nil {
		t.Error("a node that is late cannot read what the other one sealed")
	}
	if _, err := a.Box("s").Open(fromB, nil); err != nil {
		t.Error("what a node that is late seals cannot be read")
	}
	must(t, b.Refresh(ctx))
	if !b.state.Load().equal(a.state.Load()) {
		t.Error("the nodes have other keys")
	}
	// Somebody who writes the database cannot bring keys of their own, nor old ones.
	sealed := v.text
	plain, err := a.state.Load().encode()
	must(t, err)
	other := new(rowVault)
	_, err = CreateKeys(ctx, other, m)
	must(t, err)
	for what, c := range map[string]struct {
		text []byte
		want error
	}{
		"plain text":                   {plain, ErrNotSealed},
		"another installation's":       {other.text, ErrForeign},
		"a bit of it changed":          {bytes.Replace(sealed, []byte(`"sealed": "`), []byte(`"sealed": "AA`), 1), ErrKeyFile},
		"sealed with another master":   {reseal(t, plain, newMaster(t)), ErrMasterWrong},
		"nothing":                      {[]byte{}, ErrKeyFile},
		"what is not the key set's":    {reseal(t, []byte(`{"version":2}`), m), ErrKeyFile},
		"the same again, and not news": {sealed, nil},
	} {
		v.text = c.text
		if err := b.Refresh(ctx); !errors.Is(err, c.want) {
			t.Errorf("%s: %v, want %v", what, err, c.want)
		}
	}
}

func reseal(t *testing.T, text []byte, m *Master) []byte {
	t.Helper()
	out, err := m.seal(text)
	must(t, err)
	return out
}

func TestMaster_refusals(t *testing.T) {
	m, path := newMaster(t), filepath.Join(t.TempDir(), "keys.json")
	file := FileVault(path)
	ks, err := CreateKeys(ctx, file, m)
	must(t, err)
	raw, err := os.ReadFile(path)
	must(t, err)
	if bytes.Contains(raw, []byte(`"keys"`)) {
		t.Fatal("the keys stand in plain text")
	}
	if _, err := OpenKeys(ctx, file, nil); !errors.Is(err, ErrMasterMissing) {
		t.Errorf("without master key: %v", err)
	}
	if _, err := OpenKeys(ctx, file, newMaster(t)); !errors.Is(err, ErrMasterWrong) {
		t.Errorf("with another one: %v", err)
	}
	// A master key is changed: the new one with the one before it opens, and seals anew.
	next := newMaster(t).After(m)
	changed, err := OpenKeys(ctx, file, next)
	must(t, err)
	if _, err := changed.UseMaster(ctx, newMaster(t)); !errors.Is(err, ErrMasterWrong) {
		t.Errorf("a reload with another one: %v", err)
	}
	if _, err := changed.UseMaster(ctx, nil); !errors.Is(err, ErrMasterMissing) {
		t.Errorf("a reload without: %v", err)
	}
	if done, err := changed.UseMaster(ctx, next); !done || err != nil {
		t.Fatal(done, err)
	}
	if done, err := changed.UseMaster(ctx, next); done || err != nil {
		t.Error("it is sealed anew each time", done, err)
	}
	if _, err := OpenKeys(ctx, file, m); !errors.Is(err, ErrMasterWrong) {
		t.Errorf("with the master key before: %v", err)
	}
	again, err := OpenKeys(ctx, file, next)
	must(t, err)
	if !bytes.Equal(derived(again, "x"), derived(ks, "x")) {
		t.Error("the keys are others under another master key")
	}
	// A database never holds keys in plain text.
	if _, err := CreateKeys(ctx, new(rowVault), nil); !errors.Is(err, ErrMasterNeeded) {
		t.Errorf("a row without master key: %v", err)
	}
	plain, err := ks.state.Load().encode()
	must(t, err)
	if _, err := OpenKeys(ctx, &rowVault{text: plain}, m); !errors.Is(err, ErrNotSealed) {
		t.Errorf("a row in plain text: %v", err)
	}
	if _, err := OpenKeys(ctx, &rowVault{text: plain}, nil); !errors.Is(err, ErrMasterNeeded) {
		t.Errorf("a row in plain text without master key: %v", err)
	}
	// A file in plain text is taken, and sealed from then on.
	plainFile := FileVault(filepath.Join(t.TempDir(), "keys.json"))
	_, err = CreateKeys(ctx, plainFile, nil)
	must(t, err)
	first, err := OpenKeys(ctx, plainFile, m)
	must(t, err)
	if done, err := first.UseMaster(ctx, m); !done || err != nil {
		t.Fatal(done, err)
	}
	if _, err := OpenKeys(ctx, plainFile, nil); !errors.Is(err, ErrMasterMissing) {
		t.Errorf("after it was sealed: %v", err)
	}
	for _, text := range []string{"", "x", strings.Repeat("A", 43), strings.Repeat("0", 64), strings.Repeat("ab", 31), NewMaster() + "x"} {
		if _, err := ParseMaster(text); !errors.Is(err, ErrMasterForm) || len(text) > 2 && strings.Contains(err.Error(), text) {
			t.Errorf("%q is taken for a master key, or shown: %v", text, err)
		}
	}
	text := NewMaster()
	m, err = ParseMaster(" " + text + "\n")
	must(t, err)
	if shown := fmt.Sprintf("%v %+v %#v %x %s %v %+v %v", m, m, *m, *m, struct{ M *Master }{m}, *m, *m, struct{ M Master }{*m}); strings.Contains(shown, fmt.Sprintf("%x", m.secret)) || strings.Contains(shown, fmt.Sprint(m.secret)[1:20]) {
		t.Errorf("the master key is shown: %s", shown)
	}
}

// AC-192: whatever a crash leaves behind, the file is whole; and two writers never lose
// each other's change.
func TestFileVault_replacesWhole(t *testing.T) {
	dir := t.TempDir()
	v := FileVault(filepath.Join(dir, "keys.json"))
	if _, err := v.Read(ctx); !errors.Is(err, fs.ErrNotExist) {
		t.Fatal(err)
	}
	must(t, v.Replace(ctx, nil, []byte("0")))
	if err := v.Replace(ctx, nil, []byte("x")); !errors.Is(err, ErrReplaced) || !errors.Is(err, fs.ErrExist) {
		t.Errorf("made over another one: %v", err)
	}
	if err := v.Replace(ctx, []byte("x"), []byte("y")); !errors.Is(err, ErrReplaced) {
		t.Errorf("over another text: %v", err)
	}
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for done := 0; done < 5; {
				now, err := v.Read(ctx)
				if err != nil {
					t.Error(err)
					return
				}
				var n int
				_, _ = fmt.Sscan(string(now), &n)
				err = v.Replace(ctx, now, fmt.Append(nil, n+1))
				switch {
				case err == nil:
					done++
				case !errors.Is(err, ErrReplaced):
					t.Error(err)
					return
				}
			}
		})
	}
	wg.Wait()
	if now, err := v.Read(ctx); err != nil || string(now) != "40" {
		t.Errorf("40 changes, and it is at %s, %v", now, err)
	}
	list, err := os.ReadDir(dir)
	if err != nil || len(list) != 1 {
		t.Errorf("%d files are left, %v", len(list), err)
	}
	if os.PathSeparator == '/' {
		if info, err := os.Stat(string(v)); err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("mode %v, %v", info.Mode(), err)
		}
		must(t, os.Chmod(string(v), 0o644))
		if err := v.Replace(ctx, []byte("40"), []byte("41")); !errors.Is(err, ErrExposed) {
			t.Errorf("a file that others read is replaced by one with the same keys: %v", err)
		}
	}
}

func BenchmarkBox(b *testing.B) {
	box := newKeys(b).Box("store")
	plain, place := make([]byte, 500), []byte("mfa:v1:user:x")
	sealed := box.Seal(plain, place)
	b.Run("seal", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			box.Seal(plain, place)
		}
	})
	b.Run("open", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			_, _ = box.Open(sealed, place)
		}
	})
	// The yardstick: the same with ciphers that nobody can replace.
	c := box.now()
	b.Run("open without looking for changes", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			_, _ = c.opening[c.head].Open(nil, sealed[headSize:headSize+24], sealed[headSize+24:], append(append(make([]byte, 0, headSize+len(place)), c.head[:]...), place...))
		}
	})
}
