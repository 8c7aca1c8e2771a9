package archive

import (
	"crypto/rand"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"time"

	"github.com/klauspost/compress/zstd"

	"github.com/secondgate/secondgate/internal/seal"
	"github.com/secondgate/secondgate/store"
)

// Writer writes a backup. It is not safe for concurrent use.
type Writer struct {
	header Header
	sealed *sealer
	zip    *zstd.Encoder
	totals Totals
	frame  []byte
}

// NewWriter begins a backup: Made, Program, Store, Rows and Keys of h are the caller's, the
// rest it fills in itself.
func NewWriter(w io.Writer, keys *seal.Keyset, h Header) (*Writer, error) {
	key, id := make([]byte, fileKey), make([]byte, 16)
	// crypto/rand.Read ends the process rather than return bytes that are not random.
	_, _ = rand.Read(key)
	_, _ = rand.Read(id)
	h.Format, h.Records, h.ID, h.Made = Format, store.Version, hex.EncodeToString(id), h.Made.UTC().Truncate(time.Second)
	h.Key = keys.Keys()[0].ID
	h.FileKey = keys.Box(purpose).Seal(key, h.place())
	head, err := h.encode()
	if err != nil {
		return nil, fmt.Errorf("beginning a backup: %w", err)
	}
	s, err := newStream(key, head)
	if err != nil {
		return nil, fmt.Errorf("beginning a backup: %w", err)
	}
	if _, err := w.Write(head); err != nil {
		return nil, fmt.Errorf("writing the backup: %w", err)
	}
	sealed := &sealer{w: w, stream: s}
	// Small windows and one thread: a gateway that serves has little memory to spare.
	zip, err := zstd.NewWriter(sealed, zstd.WithEncoderConcurrency(1), zstd.WithWindowSize(1<<20), zstd.WithLowerEncoderMem(true))
	if err != nil {
		return nil, fmt.Errorf("beginning a backup: %w", err)
	}
	return &Writer{header: h, sealed: sealed, zip: zip, totals: Totals{}}, nil
}

// Header returns what stands in clear before the rows.
func (w *Writer) Header() Header { return w.header }

// Add writes one row.
func (w *Writer) Add(r store.Row) error {
	if r.Table == "" || len(r.Data) > maxPart || len(r.ID) > maxPart {
		return fmt.Errorf("writing the backup: a row of table %q of %d bytes", r.Table, len(r.Data))
	}
	w.totals.Add(r)
	return w.write(string(r.Table), r.ID, r.Data)
}

func (w *Writer) write(table, id string, data []byte) error {
	b := w.frame[:0]
	b = append(binary.AppendUvarint(b, uint64(len(table))), table...)
	b = append(binary.AppendUvarint(b, uint64(len(id))), id...)
	b = append(binary.AppendUvarint(b, uint64(len(data))), data...)
	w.frame = b
	if _, err := w.zip.Write(b); err != nil {
		return fmt.Errorf("writing the backup: %w", err)
	}
	return nil
}

// Close writes the end, without which no reader takes the backup for a whole one, and
// returns what is in it. It does not close what it writes to.
func (w *Writer) Close() (Totals, error) {
	text, err := json.Marshal(w.totals)
	if err != nil {
		return nil, err
	}
	if err := w.write("", "", text); err != nil {
		return nil, err
	}
	err = w.zip.Close()
	if err == nil {
		err = w.sealed.end()
	}
	if err != nil {
		return nil, fmt.Errorf("writing the backup: %w", err)
	}
	return w.totals, nil
}

// sealer seals what is written to it in chunks.
type sealer struct {
	w      io.Writer
	stream *stream
	buf    []byte
}

// Write implements io.Writer. A chunk goes out when more follows: which one is the last is
// known at the end.
func (s *sealer) Write(p []byte) (int, error) {
	n := len(p)
	for len(p) > 0 {
		if len(s.buf) == chunkSize {
			if err := s.flush(false); err != nil {
				return 0, err
			}
		}
		part := min(chunkSize-len(s.buf), len(p))
		s.buf, p = append(s.buf, p[:part]...), p[part:]
	}
	return n, nil
}

func (s *sealer) end() error { return s.flush(true) }

func (s *sealer) flush(last bool) error {
	nonce, data := s.stream.next(last)
	size := uint32(len(s.buf) + s.stream.aead.Overhead()) //nolint:gosec // a chunk
	if last {
		size |= lastChunk
	}
	out := binary.BigEndian.AppendUint32(make([]byte, 0, 4+len(s.buf)+s.stream.aead.Overhead()), size)
	out = s.stream.aead.Seal(out, nonce, s.buf, data)
	s.buf = s.buf[:0]
	_, err := s.w.Write(out)
	return err
}

// lastChunk is the bit of a chunk's length that says that no other follows.
const lastChunk = 1 << 31

// maxPart is the most that an ID or the data of a row weighs.
const maxPart = 16 << 20
