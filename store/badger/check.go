package badger

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/dgraph-io/badger/v4"
	"github.com/dgraph-io/badger/v4/fb"
	"github.com/dgraph-io/badger/v4/pb"
	"github.com/dgraph-io/badger/v4/table"
	"github.com/dgraph-io/badger/v4/y"
)

// tables are the files that the manifest lists.
type tables []tableFile

// tableFile is one of them, with the size that it had before Badger was opened.
type tableFile struct {
	name string
	size int64
}

// removalWait is how long a file may take from being emptied to being gone.
const removalWait = 5 * time.Second

// removed reports whether Badger has removed the file since it was opened here.
// Badger rewrites tables into new ones with other names, and empties the old file
// before it removes it: what is found in between is no damage.
func (t tableFile) removed(ctx context.Context) bool {
	for end := time.Now().Add(removalWait); ; {
		info, err := os.Stat(t.name)
		switch {
		case errors.Is(err, fs.ErrNotExist):
			return true
		case err != nil, info.Size() > 0, t.size == 0, ctx.Err() != nil, time.Now().After(end):
			return false
		}
		time.Sleep(time.Millisecond)
	}
}

// findTables reads the manifest and finds every file that it lists. Badger has to find the
// same; here a loss is found before Badger tidies up after it.
func findTables(dir string) (found tables, err error) {
	path := filepath.Join(dir, badger.ManifestFilename)
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("opening the manifest: %w", err)
	}
	defer f.Close()
	manifest, _, err := badger.ReplayManifestFile(f, 0, badger.DefaultOptions(dir))
	if err != nil {
		return nil, &damageError{fmt.Sprintf("%s: %v", path, err)}
	}
	var missing []string
	for id := range manifest.Tables {
		name := table.NewFilename(id, dir)
		info, err := os.Stat(name)
		switch {
		case errors.Is(err, fs.ErrNotExist):
			missing = append(missing, name)
		case err != nil:
			return nil, fmt.Errorf("looking for a table: %w", err)
		default:
			found = append(found, tableFile{name, info.Size()})
		}
	}
	if len(missing) > 0 {
		slices.Sort(missing)
		return nil, &damageError{fmt.Sprintf("%s is missing (%d of %d files)", missing[0], len(missing), len(manifest.Tables))}
	}
	return found, nil
}

// size is how many bytes they have together.
func (t tables) size() (sum int64) {
	for _, f := range t {
		sum += f.size
	}
	return sum
}

// verify compares every block of every table with its checksum. Badger reads a
// damaged block as "the key is not here", and its tidying drops what such a
// block held: a user would come back in an older state, or an ended session as a
// live one.
func (t tables) verify(ctx context.Context) error {
	var v verifier
	for _, f := range t {
		if err := ctx.Err(); err != nil {
			return err
		}
		if err := v.file(f); err != nil && !f.removed(ctx) {
			return &damageError{fmt.Sprintf("%s: %v", f.name, err)}
		}
	}
	return nil
}

var (
	errShort    = errors.New("it is cut short")
	errChecksum = errors.New("the content does not match its checksum")
)

// verifier compares tables with their checksums, a block at a time: a store of
// gigabytes is verified with the memory of its largest index.
type verifier struct{ index, block []byte }

func (v *verifier) file(t tableFile) error {
	f, err := os.Open(t.name)
	if err != nil {
		return err
	}
	defer f.Close()
	return v.table(f, t.size)
}

// part reads so many bytes into a buffer that is used again.
func part(r io.ReaderAt, buf *[]byte, offset, size int64) ([]byte, error) {
	if int64(cap(*buf)) < size {
		*buf = make([]byte, size)
	}
	data := (*buf)[:size]
	if _, err := r.ReadAt(data, offset); err != nil {
		return nil, err
	}
	return data, nil
}

// number reads the big-endian length that stands before end.
func number(r io.ReaderAt, end int64) (int64, error) {
	var buf [4]byte
	if end < 4 {
		return 0, errShort
	}
	if _, err := r.ReadAt(buf[:], end-4); err != nil {
		return 0, err
	}
	return int64(y.BytesToU32(buf[:])), nil
}

// table knows Badger's format: blocks, index, length of the index, checksum of the
// index, length of the checksum. A block ends in its own checksum and that one's
// length.
func (v *verifier) table(r io.ReaderAt, size int64) error {
	sumSize, err := number(r, size)
	if err != nil {
		return err
	}
	end := size - 4 - sumSize // of the length of the index
	indexSize, err := number(r, end)
	if err != nil {
		return err
	}
	blocks := end - 4 - indexSize // where the index begins
	switch {
	case blocks < 0:
		return errShort
	case sumSize == 0:
		// Nothing but zeros would be a checksum that fits.
		return errChecksum
	}
	tail, err := part(r, &v.index, blocks, indexSize+4+sumSize)
	if err != nil {
		return err
	}
	index := tail[:indexSize]
	sum, err := parseChecksum(tail[indexSize+4:])
	if err != nil {
		return err
	}
	if y.VerifyChecksum(index, sum) != nil {
		return errChecksum
	}
	if len(index) < 8 {
		return errShort
	}
	ti := fb.GetRootAsTableIndex(index, 0)
	var at fb.BlockOffset
	for i := range ti.OffsetsLength() {
		if !ti.Offsets(&at, i) || int64(at.Offset())+int64(at.Len()) > blocks {
			return errShort
		}
		data, err := part(r, &v.block, int64(at.Offset()), int64(at.Len()))
		if err != nil {
			return err
		}
		block, sum, err := cutChecksum(data)
		if err != nil {
			return err
		}
		if y.VerifyChecksum(block, sum) != nil {
			return errChecksum
		}
	}
	return nil
}

// cutChecksum takes checksum and length off the end of data.
func cutChecksum(data []byte) (rest []byte, sum *pb.Checksum, err error) {
	if len(data) < 4 {
		return nil, nil, errShort
	}
	size := int(y.BytesToU32(data[len(data)-4:]))
	rest = data[:len(data)-4]
	switch {
	case size > len(rest):
		return nil, nil, errShort
	case size == 0:
		// Nothing but zeros would be a checksum that fits.
		return nil, nil, errChecksum
	}
	sum, err = parseChecksum(rest[len(rest)-size:])
	return rest[:len(rest)-size], sum, err
}

// parseChecksum reads the two numbers of which Badger's checksum message is made,
// each after its tag. A number that is 0 is left out.
func parseChecksum(msg []byte) (*pb.Checksum, error) {
	sum := &pb.Checksum{}
	for len(msg) > 0 {
		tag := msg[0]
		value, n := binary.Uvarint(msg[1:])
		if n <= 0 {
			return nil, errChecksum
		}
		switch tag {
		case 1 << 3:
			sum.Algo = pb.Checksum_Algorithm(value)
			if sum.Algo != pb.Checksum_CRC32C && sum.Algo != pb.Checksum_XXHash64 {
				return nil, errChecksum
			}
		case 2 << 3:
			sum.Sum = value
		default:
			return nil, errChecksum
		}
		msg = msg[1+n:]
	}
	return sum, nil
}
