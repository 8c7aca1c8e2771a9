package archive

import (
	"bufio"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"

	"github.com/klauspost/compress/zstd"

	"github.com/secondgate/secondgate/internal/seal"
	"github.com/secondgate/secondgate/store"
)

// Reader reads a backup. It is not safe for concurrent use.
type Reader struct {
	header Header
	raw    []byte
	in     io.Reader
	zip    *zstd.Decoder
	rows   *bufio.Reader
	opened *opener
	totals Totals
	table  int // in store.Exported, of the last row
	err    error
}

// NewReader reads the header. Its words are not to be believed before the first row was
// read: until then nobody has checked that they are those that were written. ErrNone,
// ErrDamaged, store.ErrNewer.
func NewReader(r io.Reader) (*Reader, error) {
	in := bufio.NewReaderSize(r, chunkSize)
	h, raw, err := readHeader(in)
	if err != nil {
		return nil, err
	}
	return &Reader{header: h, raw: raw, in: in, totals: Totals{}}, nil
}

// Header returns what stands in clear before the rows.
func (r *Reader) Header() Header { return r.header }

// Unlock opens the rows with one of the keys. ErrKeys, ErrDamaged.
func (r *Reader) Unlock(keys *seal.Keyset) error {
	key, err := r.header.unwrap(keys)
	if err != nil {
		return err
	}
	s, err := newStream(key, r.raw)
	if err != nil {
		return err
	}
	r.opened = &opener{r: r.in, stream: s}
	// What has to be held in memory at once is what the writer made, and not more: it is
	// authenticated before it is decompressed.
	r.zip, err = zstd.NewReader(r.opened, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxWindow(8<<20), zstd.WithDecoderLowmem(true))
	if err != nil {
		return err
	}
	r.rows = bufio.NewReaderSize(r.zip, chunkSize)
	return nil
}

// Next returns the next row, or io.EOF where all were read and the end says the same: only
// then is the backup a whole one. ErrDamaged, store.ErrNewer. The row is the caller's.
func (r *Reader) Next() (store.Row, error) {
	if r.err == nil && r.rows == nil {
		r.err = errors.New("reading the backup: it was not unlocked")
	}
	if r.err != nil {
		return store.Row{}, r.err
	}
	row, err := r.next()
	if err != nil {
		r.err = err
		r.Close()
	}
	return row, err
}

func (r *Reader) next() (store.Row, error) {
	table, err := r.part()
	if err != nil {
		return store.Row{}, err
	}
	id, err := r.part()
	if err != nil {
		return store.Row{}, err
	}
	data, err := r.part()
	if err != nil {
		return store.Row{}, err
	}
	if len(table) == 0 {
		return store.Row{}, r.end(data)
	}
	row := store.Row{Table: store.Table(table), ID: string(id), Data: data}
	place := slices.Index(store.Exported, row.Table)
	switch {
	case place < 0:
		return store.Row{}, fmt.Errorf("the backup has a table %q: %w", row.Table, store.ErrNewer)
	case place < r.table:
		return store.Row{}, ErrDamaged
	}
	r.table = place
	r.totals.Add(row)
	return row, nil
}

// part reads one of the parts of a row.
func (r *Reader) part() ([]byte, error) {
	size, err := binary.ReadUvarint(r.rows)
	if err != nil {
		return nil, r.damaged(err)
	}
	if size > maxPart {
		return nil, ErrDamaged
	}
	b := make([]byte, size)
	if _, err := io.ReadFull(r.rows, b); err != nil {
		return nil, r.damaged(err)
	}
	return b, nil
}

// damaged tells what cannot be read from what is not right.
func (r *Reader) damaged(err error) error {
	if r.opened.err != nil && !errors.Is(r.opened.err, io.EOF) {
		return r.opened.err
	}
	return fmt.Errorf("%w (%w)", ErrDamaged, err)
}

// end compares the end with what was read.
func (r *Reader) end(data []byte) error {
	var want Totals
	if err := json.Unmarshal(data, &want); err != nil {
		return ErrDamaged
	}
	if err := want.Differ(r.totals); err != nil {
		return fmt.Errorf("%w: %w", ErrDamaged, err)
	}
	if _, err := r.rows.ReadByte(); !errors.Is(err, io.EOF) || !errors.Is(r.opened.err, io.EOF) {
		return r.damaged(errors.New("something stands behind its end"))
	}
	return io.EOF
}

// Totals returns what was read so far.
func (r *Reader) Totals() Totals { return r.totals }

// Close lets go of memory. What the backup was read from stays open.
func (r *Reader) Close() {
	if r.zip != nil {
		r.zip.Close()
	}
}

// opener opens chunks.
type opener struct {
	r      io.Reader
	stream *stream
	buf    []byte // of the chunk, what was not read yet
	last   bool
	err    error
}

// Read implements io.Reader.
func (o *opener) Read(p []byte) (int, error) {
	for len(o.buf) == 0 {
		if o.err == nil {
			o.err = o.open()
		}
		if o.err != nil {
			return 0, o.err
		}
	}
	n := copy(p, o.buf)
	o.buf = o.buf[n:]
	return n, nil
}

func (o *opener) open() error {
	if o.last {
		return atEnd(o.r)
	}
	sealed, last, err := readChunk(o.r)
	if err != nil {
		return err
	}
	nonce, data := o.stream.next(last)
	if o.buf, err = o.stream.aead.Open(sealed[:0], nonce, sealed, data); err != nil {
		return ErrDamaged
	}
	o.last = last
	return nil
}

// atEnd returns io.EOF where nothing follows.
func atEnd(r io.Reader) error {
	switch n, err := io.ReadFull(r, make([]byte, 1)); {
	case n > 0:
		return fmt.Errorf("%w: something stands behind its end", ErrDamaged)
	case !errors.Is(err, io.EOF):
		return fmt.Errorf("reading the backup: %w", err)
	}
	return io.EOF
}

// readChunk returns a chunk as it stands in the file.
func readChunk(r io.Reader) (sealed []byte, last bool, err error) {
	var head [4]byte
	if _, err := io.ReadFull(r, head[:]); err != nil {
		return nil, false, cut(err)
	}
	size := binary.BigEndian.Uint32(head[:])
	last = size&lastChunk != 0
	if size &^= lastChunk; size > chunkSize+16 {
		return nil, false, ErrDamaged
	}
	sealed = make([]byte, size)
	if _, err := io.ReadFull(r, sealed); err != nil {
		return nil, false, cut(err)
	}
	return sealed, last, nil
}

// cut tells a file that ends too soon from one that cannot be read.
func cut(err error) error {
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return fmt.Errorf("%w: its end is missing", ErrDamaged)
	}
	return fmt.Errorf("reading the backup: %w", err)
}

// Whole reads a backup to its end without opening it, and reports with nil that none of it
// is missing: what whoever has no key can say of one. ErrNone, ErrDamaged, store.ErrNewer.
func Whole(r io.Reader) (Header, error) {
	h, _, err := readHeader(r)
	if err != nil {
		return h, err
	}
	for {
		_, last, err := readChunk(r)
		if err != nil {
			return h, err
		}
		if !last {
			continue
		}
		if err := atEnd(r); !errors.Is(err, io.EOF) {
			return h, err
		}
		return h, nil
	}
}
