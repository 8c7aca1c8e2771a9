package seal

import (
	"bytes"
	"errors"
	"path/filepath"
	"testing"
)

func TestCopyKeys(t *testing.T) {
	ctx, dir := t.Context(), t.TempDir()
	ks, err := CreateKeys(ctx, FileVault(filepath.Join(dir, "a")), nil)
	if err != nil {
		t.Fatal(err)
	}
	master := newMaster(t)
	for name, m := range map[string]*Master{"plain": nil, "sealed": master} {
		vault := FileVault(filepath.Join(dir, name))
		copied, err := CopyKeys(ctx, ks, vault, m)
		if err != nil || !copied.Holds(ks) || !ks.Holds(copied) {
			t.Fatalf("%s: %v", name, err)
		}
		again, err := OpenKeys(ctx, vault, m)
		if err != nil || !again.Holds(ks) || !bytes.Equal(again.NameKey(), ks.NameKey()) {
			t.Errorf("%s, read again: %v", name, err)
		}
		if _, err := CopyKeys(ctx, newKeys(t), vault, m); !errors.Is(err, ErrReplaced) {
			t.Errorf("%s: others in their place: %v", name, err)
		}
	}
	if ks.Holds(newKeys(t)) {
		t.Error("it holds the keys of another")
	}
	if _, err := OpenKeys(ctx, FileVault(filepath.Join(dir, "sealed")), nil); !errors.Is(err, ErrMasterMissing) {
		t.Errorf("without the master key: %v", err)
	}
}

// A backup holds the keys only as somebody without the master key cannot read them, and
// takes none that somebody else put into it.
func TestKeyset_SealedText(t *testing.T) {
	ctx, dir := t.Context(), t.TempDir()
	master := newMaster(t)
	plain, err := CreateKeys(ctx, FileVault(filepath.Join(dir, "plain")), nil)
	if err != nil {
		t.Fatal(err)
	}
	if text, err := plain.SealedText(); err != nil || text != nil {
		t.Errorf("without a master key the keys go out: %d bytes, %v", len(text), err)
	}
	ks, err := CreateKeys(ctx, FileVault(filepath.Join(dir, "sealed")), master)
	if err != nil {
		t.Fatal(err)
	}
	text, err := ks.SealedText()
	if err != nil {
		t.Fatal(err)
	}
	if got, err := OpenSealed(text, master); err != nil || !got.Holds(ks) {
		t.Errorf("got %v", err)
	}
	if _, err := OpenSealed(text, newMaster(t)); !errors.Is(err, ErrMasterWrong) {
		t.Errorf("another master key: %v", err)
	}
	if _, err := OpenSealed(text, nil); !errors.Is(err, ErrMasterMissing) {
		t.Errorf("no master key: %v", err)
	}
	raw, err := FileVault(filepath.Join(dir, "plain")).Read(ctx)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := OpenSealed(raw, master); !errors.Is(err, ErrNotSealed) {
		t.Errorf("keys in plain text: %v", err)
	}
	changed := bytes.Clone(text)
	changed[len(changed)/2] ^= 1
	if _, err := OpenSealed(changed, master); err == nil {
		t.Error("a changed text was opened")
	}
}
