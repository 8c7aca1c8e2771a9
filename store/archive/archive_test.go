package archive

import (
	"bytes"
	"context"
	"crypto/sha256"
	"crypto/sha3"
	"encoding/binary"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/secondgate/secondgate/internal/seal"
	"github.com/secondgate/secondgate/store"
)

func newKeys(t testing.TB) *seal.Keyset {
	t.Helper()
	keys, err := seal.NewKeys()
	if err != nil {
		t.Fatal(err)
	}
	return keys
}

// secret is what must be in no backup as it is.
const secret = "JBSWY3DPEHPK3PXP"

// row is one of a table, about so large, and hardly to be compressed.
func row(table store.Table, i, size int) store.Row {
	var noise []byte
	for j := 0; len(noise) < size; j++ {
		sum := sha256.Sum256(fmt.Appendf(nil, "%s %d %d", table, i, j))
		noise = append(noise, sum[:]...)
	}
	data, err := json.Marshal(map[string]any{"i": i, "secret": secret, "noise": noise[:size]})
	if err != nil {
		panic(err)
	}
	return store.Row{Table: table, ID: fmt.Sprintf("id-%08d", i), Data: data}
}

// some are rows of all tables.
func some(n, size int) (list []store.Row) {
	for _, table := range store.Exported {
		for i := range n {
			list = append(list, row(table, i, size))
		}
	}
	return list
}

func written(t testing.TB, keys *seal.Keyset, rows []store.Row) []byte {
	t.Helper()
	var b bytes.Buffer
	w, err := NewWriter(&b, keys, Header{Made: time.Now(), Program: "v1", Store: "badger"})
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range rows {
		if err := w.Add(r); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func read(file []byte, keys *seal.Keyset) (rows []store.Row, err error) {
	r, err := NewReader(bytes.NewReader(file))
	if err != nil {
		return nil, err
	}
	defer r.Close()
	if err := r.Unlock(keys); err != nil {
		return nil, err
	}
	for {
		row, err := r.Next()
		if errors.Is(err, io.EOF) {
			return rows, nil
		}
		if err != nil {
			return rows, err
		}
		rows = append(rows, row)
	}
}

func TestArchive_givesBackWhatWentIn(t *testing.T) {
	keys := newKeys(t)
	for _, rows := range [][]store.Row{nil, some(1, 10), some(40, 3000), {row(store.Campaigns, 1, 2<<20)}} {
		file := written(t, keys, rows)
		got, err := read(file, keys)
		if err != nil {
			t.Fatal(err)
		}
		if !slices.EqualFunc(got, rows, func(a, b store.Row) bool {
			return a.Table == b.Table && a.ID == b.ID && bytes.Equal(a.Data, b.Data)
		}) {
			t.Fatalf("%d rows came back as others", len(rows))
		}
		h, err := Whole(bytes.NewReader(file))
		if err != nil || h.Store != "badger" || h.Program != "v1" || h.Format != Format || len(h.ID) != 32 {
			t.Errorf("%+v, %v", h, err)
		}
		for _, plain := range []string{secret, "id-0000", `"secret"`} {
			if bytes.Contains(file, []byte(plain)) {
				t.Errorf("%q stands in the file", plain)
			}
		}
	}
}

// frames cuts a file into what stands before the first chunk, and its chunks.
func frames(t testing.TB, file []byte) (list [][]byte) {
	t.Helper()
	end := len(magic) + 4 + int(binary.BigEndian.Uint32(file[len(magic):]))
	list = append(list, file[:end])
	for file = file[end:]; len(file) > 0; file = file[end:] {
		end = 4 + int(binary.BigEndian.Uint32(file)&^lastChunk)
		list = append(list, file[:end])
	}
	return list
}

func join(list ...[]byte) []byte { return bytes.Join(list, nil) }

// Whoever has the file and no key changes it: what is restored would be what they want, or
// lack whom they do not want.
func TestReader_AC189_RejectsWhatWasChanged(t *testing.T) {
	keys := newKeys(t)
	rows := some(20, 3000)
	file := written(t, keys, rows)
	other := written(t, keys, rows)
	f, o := frames(t, file), frames(t, other)
	if len(f) < 8 {
		t.Fatalf("only %d chunks", len(f)-1)
	}
	n := len(f) - 1
	last := bytes.Clone(f[n-1])
	last[0] |= 0x80
	more := bytes.Clone(f[n])
	more[0] &^= 0x80
	shorter := bytes.Clone(f[3])
	binary.BigEndian.PutUint32(shorter, uint32(len(shorter)-5))
	for name, changed := range map[string][]byte{
		"the last chunk is missing":              join(f[:n]...),
		"… and the one before says it is last":   join(join(f[:n-1]...), last),
		"the last chunk says that it is not":     join(join(f[:n]...), more),
		"the last chunk comes twice":             join(file, f[n]),
		"something stands behind the end":        join(file, []byte("x")),
		"a chunk is missing":                     join(join(f[:3]...), join(f[4:]...)),
		"a chunk comes twice":                    join(join(f[:4]...), join(f[3:]...)),
		"two chunks are swapped":                 join(join(f[:2]...), f[3], f[2], join(f[4:]...)),
		"a chunk is of another file":             join(join(f[:3]...), o[3], join(f[4:]...)),
		"the end is of another file":             join(join(f[:5]...), join(o[5:]...)),
		"the header is of another file":          join(o[0], join(f[1:]...)),
		"a chunk is shorter":                     join(join(f[:3]...), shorter[:len(shorter)-5], join(f[4:]...)),
		"only the header":                        f[0],
		"nothing":                                nil,
		"another file":                           []byte("{\"version\":1,\"keys\":[]}"),
		"a length that no chunk has":             join(f[0], []byte{0x7f, 0xff, 0xff, 0xff}, join(f[1:]...)),
		"a header that is longer than they are":  join([]byte(magic), []byte{0xff, 0xff, 0xff, 0xff}),
		"a header that is cut":                   f[0][:len(f[0])-2],
		"a store of another kind in the header":  bytes.Replace(file, []byte(`"badger"`), []byte(`"pigeon"`), 1),
		"another time in the header":             bytes.Replace(file, []byte(`"made":"2`), []byte(`"made":"1`), 1),
		"another program version in the header":  bytes.Replace(file, []byte(`"v1"`), []byte(`"v2"`), 1),
		"a key set that was put into the header": withKeys(file),
	} {
		if bytes.Equal(changed, file) {
			t.Fatalf("%s: nothing was changed", name)
		}
		got, err := read(changed, keys)
		if !errors.Is(err, ErrDamaged) && !errors.Is(err, ErrNone) {
			t.Errorf("%s: %v after %d rows", name, err, len(got))
		}
	}
	for at := 0; at < len(file); at++ {
		if at > 700 && at%1511 != 0 { // each byte of the header, and many of the rest
			continue
		}
		changed := bytes.Clone(file)
		changed[at] ^= 1 << (at % 8)
		if _, err := read(changed, keys); err == nil {
			t.Errorf("byte %d may be another one", at)
		}
		if at%7 == 0 {
			if _, err := read(file[:at], keys); !errors.Is(err, ErrDamaged) && !errors.Is(err, ErrNone) {
				t.Errorf("cut at %d: %v", at, err)
			}
			if _, err := Whole(bytes.NewReader(file[:at])); err == nil {
				t.Errorf("cut at %d it passes for whole", at)
			}
		}
	}
}

// withKeys writes a key set into a header, as somebody would who wants theirs to be put in
// place.
func withKeys(file []byte) []byte {
	size := binary.BigEndian.Uint32(file[len(magic):])
	head, rest := file[len(magic)+4:len(magic)+4+int(size)], file[len(magic)+4+int(size):]
	text := append(bytes.TrimSuffix(bytes.Clone(head), []byte("}")), []byte(`,"keys":"AAAA"}`)...)
	return join(binary.BigEndian.AppendUint32([]byte(magic), uint32(len(text))), text, rest)
}

func TestReader_AC189_RejectsOtherKeys(t *testing.T) {
	file := written(t, newKeys(t), some(2, 10))
	_, err := read(file, newKeys(t))
	if !errors.Is(err, ErrKeys) || !strings.Contains(err.Error(), "key file") {
		t.Errorf("got %v", err)
	}
	// A header that names the right key does not make it open.
	keys := newKeys(t)
	id := keys.Keys()[0].ID
	h, _, err := readHeader(bytes.NewReader(file))
	if err != nil {
		t.Fatal(err)
	}
	forged := bytes.Replace(file, []byte(`"key":"`+h.Key+`"`), []byte(`"key":"`+id+`"`), 1)
	if _, err := read(forged, keys); !errors.Is(err, ErrDamaged) {
		t.Errorf("got %v", err)
	}
}

// AC-205: a backup of a newer program is refused, and not read by halves.
func TestReader_AC205_RejectsANewerFormat(t *testing.T) {
	keys := newKeys(t)
	file := written(t, keys, some(2, 10))
	newer := bytes.Replace(file, []byte(`"format":1`), []byte(`"format":2`), 1)
	if _, err := read(newer, keys); !errors.Is(err, store.ErrNewer) || !strings.Contains(err.Error(), "format 2") {
		t.Errorf("got %v", err)
	}
	records := bytes.Replace(file, []byte(`"records":1`), []byte(`"records":2`), 1)
	if _, err := read(records, keys); !errors.Is(err, store.ErrNewer) {
		t.Errorf("newer records: %v", err)
	}
	if _, err := Whole(bytes.NewReader(newer)); !errors.Is(err, store.ErrNewer) {
		t.Errorf("got %v", err)
	}
	if _, err := read(written(t, keys, []store.Row{{Table: "of_the_future", ID: "x", Data: []byte("{}")}}), keys); !errors.Is(err, store.ErrNewer) {
		t.Errorf("a table of the future: %v", err)
	}
}

func TestReader_RejectsRowsOutOfOrder(t *testing.T) {
	keys := newKeys(t)
	file := written(t, keys, []store.Row{row(store.Sessions, 1, 1), row(store.Users, 1, 1)})
	if _, err := read(file, keys); !errors.Is(err, ErrDamaged) {
		t.Errorf("got %v", err)
	}
}

func TestReader_mustBeUnlocked(t *testing.T) {
	r, err := NewReader(bytes.NewReader(written(t, newKeys(t), nil)))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := r.Next(); err == nil || errors.Is(err, io.EOF) {
		t.Errorf("got %v", err)
	}
}

func TestTotals(t *testing.T) {
	rows := some(20, 5)
	a, b, c := Totals{}, Totals{}, Totals{}
	for i := range rows {
		a.Add(rows[i])
		b.Add(rows[len(rows)-1-i])
		other := rows[i]
		if i == 3 {
			other.ID, other.Data = other.ID+string(other.Data[:1]), other.Data[1:]
		}
		c.Add(other)
	}
	if err := a.Differ(b); err != nil {
		t.Errorf("the order counts: %v", err)
	}
	if err := a.Differ(c); !errors.Is(err, ErrDiffers) {
		t.Errorf("another row: %v", err)
	}
	b.Add(rows[0])
	if err := a.Differ(b); !errors.Is(err, ErrDiffers) || a.Rows() != int64(len(rows)) {
		t.Errorf("one row more: %v", err)
	}
	text, err := json.Marshal(a)
	if err != nil {
		t.Fatal(err)
	}
	var again Totals
	if err := json.Unmarshal(text, &again); err != nil || a.Differ(again) != nil {
		t.Errorf("read back: %v", err)
	}
}

// A backup of gigabytes must not need more memory than one of a few people.
func TestArchive_needsLittleMemory(t *testing.T) {
	keys := newKeys(t)
	in, out := io.Pipe()
	go func() {
		w, err := NewWriter(out, keys, Header{Made: time.Now()})
		for i := 0; err == nil && i < 20_000; i++ {
			noise := sha3.SumSHAKE128(fmt.Append(nil, i), 4000) // made sooner than the rows of other tests
			err = w.Add(store.Row{Table: store.Users, ID: fmt.Sprintf("id-%08d", i), Data: fmt.Appendf(nil, `{"noise":"%x"}`, noise)})
		}
		if err == nil {
			_, err = w.Close()
		}
		out.CloseWithError(err)
	}()
	r, err := NewReader(in)
	if err == nil {
		err = r.Unlock(keys)
	}
	most := uint64(0)
	for n := 0; err == nil; n++ {
		if _, err = r.Next(); n%2000 == 0 {
			runtime.GC()
			var m runtime.MemStats
			runtime.ReadMemStats(&m)
			most = max(most, m.HeapAlloc)
		}
	}
	if !errors.Is(err, io.EOF) || r.Totals().Rows() != 20_000 {
		t.Fatal(err)
	}
	if most > 48<<20 {
		t.Errorf("%d MiB of memory for a backup of 100 MB", most>>20)
	}
}

func TestCreateFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "b")
	f, err := CreateFile(path, false)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := CreateFile(path, true); !errors.Is(err, fs.ErrExist) {
		t.Errorf("two at once: %v", err)
	}
	fmt.Fprint(f, "one")
	if _, err := os.Stat(path); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("it has its name before it is whole: %v", err)
	}
	if err := f.Keep(); err != nil {
		t.Fatal(err)
	}
	info, err := os.Stat(path)
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%v, %v", info.Mode(), err)
	}
	if _, err := CreateFile(path, false); !errors.Is(err, fs.ErrExist) || !strings.Contains(err.Error(), "--force") {
		t.Errorf("over another: %v", err)
	}
	f, err = CreateFile(path, true)
	if err != nil {
		t.Fatal(err)
	}
	f.Drop()
	if raw, _ := os.ReadFile(path); string(raw) != "one" {
		t.Errorf("after one that was dropped: %q", raw)
	}
	if f, err = CreateFile(path, true); err != nil {
		t.Fatal(err)
	}
	fmt.Fprint(f, "two")
	if err := f.Keep(); err != nil {
		t.Fatal(err)
	}
	if raw, _ := os.ReadFile(path); string(raw) != "two" {
		t.Errorf("after another: %q", raw)
	}
	// Somebody made a file of that name meanwhile.
	late := path + "2"
	if f, err = CreateFile(late, false); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(late, []byte("theirs"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := f.Keep(); !errors.Is(err, fs.ErrExist) {
		t.Errorf("over one that came meanwhile: %v", err)
	}
	if raw, _ := os.ReadFile(late); string(raw) != "theirs" {
		t.Errorf("it is %q", raw)
	}
	if left, _ := filepath.Glob(path + "*.partial"); len(left) > 0 {
		t.Errorf("left: %v", left)
	}
}

var update = flag.Bool("update", false, "write testdata anew")

// golden returns a backup that was written once, with the keys that open it.
func golden(t testing.TB) (file []byte, keys *seal.Keyset) {
	t.Helper()
	const name, keyName = "testdata/format-1.backup", "testdata/format-1.keys.json"
	if *update {
		keys, err := seal.CreateKeys(context.Background(), seal.FileVault(keyName), nil)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(name, written(t, keys, some(3, 50)), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	file, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(keyName)
	if err != nil {
		t.Fatal(err)
	}
	private := filepath.Join(t.TempDir(), "keys.json") // what is checked out may be read by others
	if err := os.WriteFile(private, text, 0o600); err != nil {
		t.Fatal(err)
	}
	if keys, err = seal.OpenKeys(context.Background(), seal.FileVault(private), nil); err != nil {
		t.Fatal(err)
	}
	return file, keys
}

// AC-205: what was backed up once can be read for ever.
func TestReader_AC205_readsFormat1(t *testing.T) {
	file, keys := golden(t)
	got, err := read(file, keys)
	if err != nil || fmt.Sprint(got) != fmt.Sprint(some(3, 50)) {
		t.Errorf("%d rows, %v", len(got), err)
	}
}

func FuzzReader(f *testing.F) {
	file, keys := golden(f)
	f.Add(file, 0, byte(1))
	f.Add(file[:len(file)/2], 100, byte(0))
	f.Add([]byte(magic), 0, byte(0))
	f.Add([]byte{}, 0, byte(0))
	list := frames(f, file)
	f.Add(join(list[0], list[0], list[1]), 3, byte(7))
	f.Fuzz(func(t *testing.T, data []byte, at int, flip byte) {
		if len(data) > 0 {
			data = bytes.Clone(data)
			data[max(at, -at-1)%len(data)] ^= flip
		}
		_, _ = Whole(bytes.NewReader(data))
		got, err := read(data, keys)
		if err == nil && (!bytes.Equal(data, file) || len(got) != len(some(3, 50))) {
			t.Fatalf("%d bytes that we did not write passed for a backup", len(data))
		}
	})
}
