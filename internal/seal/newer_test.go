package seal

import (
	"bytes"
	"context"
	"errors"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// countedVault counts who reads it.
type countedVault struct {
	Vault
	reads atomic.Int64
	away  atomic.Bool
}

var errVaultAway = errors.New("away")

func (v *countedVault) Read(ctx context.Context) ([]byte, error) {
	v.reads.Add(1)
	if v.away.Load() {
		return nil, errVaultAway
	}
	return v.Vault.Read(ctx)
}

// What another node has sealed with a key that this one has not heard of is not damaged: the
// key is looked for (AC-197).
func TestBox_AC197_opensWhatANewerKeySealed(t *testing.T) {
	ctx, vault := t.Context(), FileVault(filepath.Join(t.TempDir(), "keys"))
	master, err := ParseMaster(NewMaster())
	if err != nil {
		t.Fatal(err)
	}
	here, err := CreateKeys(ctx, vault, master)
	if err != nil {
		t.Fatal(err)
	}
	counted := &countedVault{Vault: vault}
	there, err := OpenKeys(ctx, counted, master)
	if err != nil {
		t.Fatal(err)
	}
	ours, theirs := here.Box("test"), there.Box("test")
	if _, err := here.Compromised(ctx, time.Now()); err != nil {
		t.Fatal(err)
	}
	sealed := ours.Seal([]byte("text"), []byte("place"))
	counted.away.Store(true)
	if _, err := theirs.Open(sealed, []byte("place")); !errors.Is(err, ErrOpen) {
		t.Errorf("nobody can say which keys there are: %v", err)
	}
	counted.away.Store(false)
	if plain, err := theirs.Open(sealed, []byte("place")); err != nil || !bytes.Equal(plain, []byte("text")) {
		t.Errorf("%q, %v", plain, err)
	}

	// What no key sealed is looked for once, however often it is read.
	stray := bytes.Clone(sealed)
	stray[3] ^= 1
	counted.reads.Store(0)
	for range 100 {
		if _, err := theirs.Open(stray, []byte("place")); !errors.Is(err, ErrOpen) {
			t.Error(err)
		}
	}
	if n := counted.reads.Load(); n != 1 {
		t.Errorf("%d looks for one key", n)
	}
}

// Whoever sends tokens of keys that there are not costs one look in a while, and everybody is
// answered by a look that began after they asked.
func TestKeyset_NewerIsBounded(t *testing.T) {
	vault := &countedVault{Vault: FileVault(filepath.Join(t.TempDir(), "keys"))}
	master, err := ParseMaster(NewMaster())
	if err != nil {
		t.Fatal(err)
	}
	ks, err := CreateKeys(t.Context(), vault, master)
	if err != nil {
		t.Fatal(err)
	}
	vault.reads.Store(0)
	began := time.Now()
	var group sync.WaitGroup
	for range 50 {
		group.Go(func() {
			for range 4 {
				before := vault.reads.Load()
				if err := ks.Newer(t.Context()); err != nil {
					t.Error(err)
				}
				if vault.reads.Load() == before {
					t.Error("answered without a look")
				}
			}
		})
	}
	group.Wait()
	if n, most := vault.reads.Load(), int64(time.Since(began)/lookPause)+1; n > most {
		t.Errorf("%d looks in %s", n, time.Since(began))
	}
	vault.away.Store(true)
	if err := ks.Newer(t.Context()); !errors.Is(err, errVaultAway) {
		t.Error(err)
	}
}
