package seal

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestKeys_createdThenLoaded(t *testing.T) {
	path := filepath.Join(t.TempDir(), "keys.json")
	made, err := CreateKeys(ctx, FileVault(path), nil)
	if err != nil {
		t.Fatal(err)
	}
	info, err := os.Stat(path)
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Fatalf("mode %v, %v; want 0600", info.Mode(), err)
	}
	loaded, err := OpenKeys(ctx, FileVault(path), nil)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(derived(made, "x"), derived(loaded, "x")) {
		t.Error("the loaded keys derive something else than those that were made")
	}
	if _, err := CreateKeys(ctx, FileVault(path), nil); !errors.Is(err, fs.ErrExist) {
		t.Errorf("creating over a key file: %v, want fs.ErrExist", err)
	}
}

func TestOpenKeys_missingIsApart(t *testing.T) {
	_, err := OpenKeys(ctx, FileVault(filepath.Join(t.TempDir(), "none")), nil)
	if !errors.Is(err, fs.ErrNotExist) || errors.Is(err, ErrKeyFile) {
		t.Errorf("got %v, want fs.ErrNotExist alone", err)
	}
}

// Another user of the machine who can read the key file reads every secret in
// the store; one who can change it signs sessions.
func TestOpenKeys_RejectsAFileThatOthersReach(t *testing.T) {
	if os.PathSeparator != '/' {
		t.Skip("mode bits say nothing here")
	}
	for _, mode := range []fs.FileMode{0o644, 0o640, 0o620, 0o602, 0o604, 0o601, 0o666} {
		path := filepath.Join(t.TempDir(), "keys.json")
		if _, err := CreateKeys(ctx, FileVault(path), nil); err != nil {
			t.Fatal(err)
		}
		if err := os.Chmod(path, mode); err != nil {
			t.Fatal(err)
		}
		if _, err := OpenKeys(ctx, FileVault(path), nil); !errors.Is(err, ErrExposed) {
			t.Errorf("mode %04o: %v, want ErrExposed", mode, err)
		}
	}
}

func TestOpenKeys_RejectsAFileOfAnotherUser(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("only root can give a file away")
	}
	path := filepath.Join(t.TempDir(), "keys.json")
	if _, err := CreateKeys(ctx, FileVault(path), nil); err != nil {
		t.Fatal(err)
	}
	if err := os.Chown(path, 12345, 12345); err != nil {
		t.Fatal(err)
	}
	if _, err := OpenKeys(ctx, FileVault(path), nil); !errors.Is(err, ErrExposed) {
		t.Errorf("got %v, want ErrExposed", err)
	}
}

func TestOpenKeys_RejectsWhatIsNoKeyFile(t *testing.T) {
	const k = `"key":"AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8="`
	const secret = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8="
	one := func(id, status string) string {
		return fmt.Sprintf(`{"id":%q,"created":"2026-01-02T03:04:05Z","status":%q,%s}`, id, status, k)
	}
	for name, text := range map[string]string{
		"empty":               "",
		"not JSON":            "keys",
		"no keys":             `{"version":1,"keys":[]}`,
		"no primary":          `{"version":1,"keys":[` + one("00000001", "decrypt_only") + `]}`,
		"two primaries":       `{"version":1,"keys":[` + one("00000001", "primary") + "," + one("00000002", "primary") + `]}`,
		"one ID twice":        `{"version":1,"keys":[` + one("00000001", "primary") + "," + one("00000001", "decrypt_only") + `]}`,
		"unknown status":      `{"version":1,"keys":[` + one("00000001", "sometimes") + `]}`,
		"short ID":            `{"version":1,"keys":[` + one("01", "primary") + `]}`,
		"short key":           `{"version":1,"keys":[{"id":"00000001","created":"2026-01-02T03:04:05Z","status":"primary","key":"AAEC"}]}`,
		"no version":          `{"keys":[` + one("00000001", "primary") + `]}`,
		"newer version":       `{"version":3,"keys":[` + one("00000001", "primary") + `],"more":1}`,
		"unknown field":       `{"version":1,"keys":[` + one("00000001", "primary") + `],"more":1}`,
		"something after it":  `{"version":1,"keys":[` + one("00000001", "primary") + `]}{}`,
		"cut short":           `{"version":1,"keys":[` + one("00000001", "primary"),
		"longer than allowed": strings.Repeat(" ", maxText) + `{"version":1}`,
	} {
		path := filepath.Join(t.TempDir(), "keys.json")
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		_, err := OpenKeys(ctx, FileVault(path), nil)
		if !errors.Is(err, ErrKeyFile) {
			t.Errorf("%s: %v, want ErrKeyFile", name, err)
			continue
		}
		if strings.Contains(err.Error(), secret) || !strings.Contains(err.Error(), path) {
			t.Errorf("%s: the error must name the file and no key: %v", name, err)
		}
	}
	path := filepath.Join(t.TempDir(), "keys.json")
	good := `{"version":1,"keys":[` + one("00000001", "decrypt_only") + "," + one("00000002", "primary") + `]}`
	if err := os.WriteFile(path, []byte(good), 0o600); err != nil {
		t.Fatal(err)
	}
	ks, err := OpenKeys(ctx, FileVault(path), nil)
	if err != nil {
		t.Fatal(err)
	}
	list := ks.Derived("session")
	if len(list) != 2 || list[0].ID != "00000002" || list[1].ID != "00000001" || bytes.Equal(list[0].Secret, list[1].Secret) {
		t.Errorf("derived: %d keys", len(list))
	}
	if _, err := OpenKeys(ctx, FileVault(t.TempDir()), nil); err == nil {
		t.Error("a folder was read as a key file")
	}
}

func TestKeyset_derivesOneKeyPerPurpose(t *testing.T) {
	ks, other := newKeys(t), newKeys(t)
	if bytes.Equal(derived(ks, "a"), derived(ks, "b")) || bytes.Equal(derived(ks, "a"), derived(other, "a")) {
		t.Error("two purposes or two keysets share a key")
	}
	if len(derived(ks, "a")) != 32 || !bytes.Equal(derived(ks, "a"), derived(ks, "a")) {
		t.Error("a derived key must have 32 bytes and be the same each time")
	}
}

// AC-196: two first starts must not share a key.
func TestKeyset_AC196_everyKeysetIsAnother(t *testing.T) {
	seen := map[string]bool{}
	for range 100 {
		k := string(derived(newKeys(t), "x"))
		if seen[k] {
			t.Fatal("two keysets are the same")
		}
		seen[k] = true
	}
}

// A key that reaches a log is lost, whatever verb printed it.
func TestKeyset_showsNoKey(t *testing.T) {
	ks := newKeys(t)
	var log bytes.Buffer
	slog.New(slog.NewJSONHandler(&log, nil)).Info("keys", "keys", ks)
	marshalled, err := json.Marshal(ks)
	if err != nil {
		t.Fatal(err)
	}
	secret := ks.state.Load().keys[0].secret
	for _, shown := range []string{
		fmt.Sprintf("%v %+v %#v %s %q", ks, ks, ks, ks, ks), fmt.Sprintf("%x %X %d", ks, ks, ks),
		fmt.Sprint(struct{ K *Keyset }{ks}), log.String(), string(marshalled),
		fmt.Sprintf("%v %+v %#v", ks.Box("x"), ks.Box("x"), ks.Box("x")),
	} {
		for _, form := range []string{string(secret), fmt.Sprintf("%x", secret), fmt.Sprintf("%X", secret), fmt.Sprint(secret)[1:20]} {
			if strings.Contains(shown, form) {
				t.Errorf("a key is shown: %s", shown)
			}
		}
	}
}

var ctx = context.Background()

// derived returns what the primary key derives.
func derived(ks *Keyset, purpose string) []byte { return ks.Derived(purpose)[0].Secret }

func newKeys(t testing.TB) *Keyset {
	t.Helper()
	ks, err := NewKeys()
	if err != nil {
		t.Fatal(err)
	}
	return ks
}
