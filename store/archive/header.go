package archive

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/sha256"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"time"

	"github.com/secondgate/secondgate/internal/seal"
	"github.com/secondgate/secondgate/store"
)

// What is wrong with a backup. One of a newer form is store.ErrNewer.
var (
	// ErrNone says that the file is no backup of this program.
	ErrNone = errors.New("this is no backup of secondgate")
	// ErrDamaged says that the file was changed or cut.
	ErrDamaged = errors.New("the backup was changed or cut short")
	// ErrKeys says that other keys sealed it.
	ErrKeys = errors.New("the backup was sealed with another key")
)

const (
	magic = "secondgate backup\n"
	// Format is the form of backups that this program writes; it reads all before.
	Format = 1
	// maxHeader is the most that a header weighs: a key set may be in it.
	maxHeader = 4 << 20
	// chunkSize is how much a chunk holds.
	chunkSize = 64 << 10
	fileKey   = 32
	// purpose is what the key is derived for that seals the keys of files.
	purpose = "backup"
)

// Header is what anybody can read of a backup.
type Header struct {
	Format int       `json:"format"`
	ID     string    `json:"id"` // random
	Made   time.Time `json:"made"`
	// Program is the version of the program that made it, and Store the kind of store it
	// was made of.
	Program string `json:"program"`
	Store   string `json:"store"`
	// Records is the version of the records in it (store.Version).
	Records int `json:"records"`
	// Rows is about how many rows there are, for who shows how far the reading is.
	Rows int64 `json:"rows,omitempty"`
	// Key is the ID of the key that sealed FileKey.
	Key     string `json:"key"`
	FileKey []byte `json:"file_key"`
	// Keys is the key set, sealed with a master key, where there is one. It is never in a
	// backup otherwise: a file that opens itself is not sealed.
	Keys []byte `json:"keys,omitempty"`
}

// encode returns everything that stands before the first chunk.
func (h Header) encode() ([]byte, error) {
	text, err := json.Marshal(h)
	if err != nil {
		return nil, err
	}
	if len(text) > maxHeader {
		return nil, errors.New("the header of a backup is too long")
	}
	b := binary.BigEndian.AppendUint32([]byte(magic), uint32(len(text))) //nolint:gosec // bounded
	return append(b, text...), nil
}

// readHeader returns the header, and the bytes that it was read from.
func readHeader(r io.Reader) (h Header, raw []byte, err error) {
	raw = make([]byte, len(magic)+4)
	if _, err := io.ReadFull(r, raw); err != nil || string(raw[:len(magic)]) != magic {
		return h, nil, ErrNone
	}
	size := binary.BigEndian.Uint32(raw[len(magic):])
	if size > maxHeader {
		return h, nil, ErrDamaged
	}
	text := make([]byte, size)
	if _, err := io.ReadFull(r, text); err != nil {
		return h, nil, ErrDamaged
	}
	// The format first: the rest may be another one in a newer form.
	var form struct {
		Format int `json:"format"`
	}
	if err := json.Unmarshal(text, &form); err != nil || form.Format < 1 {
		return h, nil, ErrDamaged
	}
	if form.Format > Format {
		return h, nil, fmt.Errorf("a backup of format %d, this program reads up to %d: %w", form.Format, Format, store.ErrNewer)
	}
	if err := json.Unmarshal(text, &h); err != nil || h.Records < 1 {
		return h, nil, ErrDamaged
	}
	if h.Records > store.Version {
		return h, nil, fmt.Errorf("a backup with records of version %d, this program reads up to %d: %w", h.Records, store.Version, store.ErrNewer)
	}
	return h, append(raw, text...), nil
}

// place is what the key of a file is bound to.
func (h Header) place() []byte { return []byte("secondgate:backup:" + h.ID) }

// stream seals and opens chunks in their order.
type stream struct {
	aead   cipher.AEAD
	header [sha256.Size]byte
	number uint64
}

func newStream(key, header []byte) (*stream, error) {
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, err
	}
	aead, err := cipher.NewGCM(block)
	if err != nil {
		return nil, err
	}
	return &stream{aead: aead, header: sha256.Sum256(header)}, nil
}

// next returns nonce and additional data of the next chunk. A key is used for one file and
// a number once in it, so that no nonce comes twice.
func (s *stream) next(last bool) (nonce, data []byte) {
	nonce = make([]byte, 12)
	binary.BigEndian.PutUint64(nonce[3:11], s.number)
	if last {
		nonce[11] = 1
	}
	s.number++
	return nonce, append(s.header[:], nonce...)
}

// unwrap returns the key of the file.
func (h Header) unwrap(keys *seal.Keyset) ([]byte, error) {
	if !slices.ContainsFunc(keys.Keys(), func(k seal.KeyInfo) bool { return k.ID == h.Key }) {
		return nil, fmt.Errorf("%w, %s, which is not among these keys; name the key file that belongs to it", ErrKeys, quote(h.Key))
	}
	key, err := keys.Box(purpose).Open(h.FileKey, h.place())
	if err != nil || len(key) != fileKey {
		return nil, ErrDamaged
	}
	return key, nil
}

// quote shows a text of a header that nobody has checked yet.
func quote(s string) string { return fmt.Sprintf("%.20q", s) }
