package moving

import (
	"errors"
	"fmt"
	"io"
	"iter"
	"os"
	"slices"
	"strings"

	"github.com/secondgate/secondgate/mfa"
)

// Person is one person in a file.
type Person struct {
	mfa.Newcomer
	File string
	Line int
	// Extra is what the file says of the person and the gateway has no place for.
	Extra []mfa.MovedItem
	// Nobody says that a factor was found without its person, who is not in the files:
	// nobody is to be made of it.
	Nobody bool
}

// lose adds something that cannot move.
func (p *Person) lose(item, why string) {
	p.Extra = append(p.Extra, mfa.MovedItem{Item: item, Verdict: mfa.Lost, Why: why})
}

// Options are what the files do not say.
type Options struct {
	// EmailsVerified says that people have proven their addresses to the other system.
	EmailsVerified bool
	// RPIDs are relying parties of which a file may have kept the hash alone.
	RPIDs []string
}

// Error is what is wrong with a file. It repeats nothing of it but names.
type Error struct {
	File string
	Line int // 0: the file as a whole
	Why  string
}

// Error says where, and what.
func (e *Error) Error() string {
	if e.Line == 0 {
		return fmt.Sprintf("%s: %s", e.File, e.Why)
	}
	return fmt.Sprintf("%s, line %d: %s", e.File, e.Line, e.Why)
}

// Bounds of what is read.
const (
	maxStream = 4 << 30   // bytes of a file that is read by lines
	maxWhole  = 64 << 20  // bytes of one that has to be in memory
	maxLine   = 256 << 10 // bytes, and of one person in users.json
	maxPeople = 1_000_000 // of one run: each name is remembered
	maxName   = 256       // bytes; no account has as many
)

// format is one kind of file.
type format struct {
	name string
	read func(files []file, o Options) iter.Seq2[Person, error]
}

var formats = []format{
	{"authelia", readAuthelia},
	{"caddy-security", each(caddySecurity)},
	{"tinyauth", each(tinyauth)},
	{"htpasswd", each(htpasswd)},
	{"jsonl", each(jsonLines)},
}

// Formats are the names of the formats.
func Formats() []string {
	var list []string
	for _, f := range formats {
		list = append(list, f.name)
	}
	return list
}

// Known reports whether there is a format of that name.
func Known(name string) bool { return slices.Contains(Formats(), name) }

// file is one file as its reader sees it.
type file struct {
	name string
	open func() (io.ReadCloser, error)
	size int64
}

// Read reads people out of files, one after the other, and ends at the first error, which
// is an *Error or that of opening a file. A name that stands twice is an error.
//
// The files are opened anew with each run of the sequence: it may be run once to see
// whether all is well, and once more for the people.
func Read(name string, paths []string, o Options) iter.Seq2[Person, error] {
	return func(yield func(Person, error) bool) {
		i := slices.IndexFunc(formats, func(f format) bool { return f.name == name })
		if i < 0 {
			yield(Person{}, fmt.Errorf("there is no format %q; there are %s", name, strings.Join(Formats(), ", ")))
			return
		}
		var files []file
		for _, path := range paths {
			f, err := fileAt(path)
			if err != nil {
				yield(Person{}, err)
				return
			}
			files = append(files, f)
		}
		once(formats[i].read(files, o))(yield)
	}
}

func fileAt(path string) (file, error) {
	info, err := os.Stat(path)
	switch {
	case err != nil:
		return file{}, err
	case !info.Mode().IsRegular():
		return file{}, &Error{path, 0, "it is no ordinary file, and it has to be read twice; save it first"}
	case info.Size() > maxStream:
		return file{}, &Error{path, 0, fmt.Sprintf("it has %d GiB, and more than 4 cannot be meant; is it the right file? Otherwise split it", info.Size()>>30)}
	}
	return file{path, func() (io.ReadCloser, error) { return os.Open(path) }, info.Size()}, nil
}

// once refuses a name that stands twice: of two people with one name, nobody could say
// which one signs in.
func once(people iter.Seq2[Person, error]) iter.Seq2[Person, error] {
	return func(yield func(Person, error) bool) {
		where := map[string]int{}
		for p, err := range people {
			if err == nil && !p.Nobody {
				name := strings.ToLower(strings.TrimSpace(p.Name))
				switch {
				case len(name) > maxName:
					yield(Person{}, &Error{p.File, p.Line, fmt.Sprintf("the name %q is longer than any account's; is it the right file?", shortened(name))})
					return
				case len(where) >= maxPeople:
					yield(Person{}, &Error{p.File, p.Line, "there are more than a million people; split the file, and import one part after the other"})
					return
				}
				if line, twice := where[name]; twice {
					yield(Person{}, &Error{p.File, p.Line, fmt.Sprintf("%q stands twice (first in line %d; capitals do not count); take one of them out", shortened(p.Name), line)})
					return
				}
				where[name] = p.Line
			}
			if !yield(p, err) || err != nil {
				return
			}
		}
	}
}

// each makes a format of a reader of one file.
func each(read func(f file, r io.Reader, o Options, yield func(Person) bool) error) func([]file, Options) iter.Seq2[Person, error] {
	return func(files []file, o Options) iter.Seq2[Person, error] {
		return func(yield func(Person, error) bool) {
			for _, f := range files {
				err := f.each(o, read, func(p Person) bool { return yield(p, nil) })
				if errors.Is(err, errStopped) {
					return
				}
				if err != nil {
					yield(Person{}, err)
					return
				}
			}
		}
	}
}

// errStopped says that whoever runs the sequence has had enough.
var errStopped = errors.New("stopped")

func (f file) each(o Options, read func(file, io.Reader, Options, func(Person) bool) error, yield func(Person) bool) error {
	r, err := f.open()
	if err != nil {
		return err
	}
	defer r.Close()
	// The size may have been another when it was looked at.
	return read(f, io.LimitReader(r, maxStream), o, yield)
}

// whole reads a file that has to be in memory.
func (f file) whole(r io.Reader, limit int) ([]byte, error) {
	data, err := io.ReadAll(io.LimitReader(r, int64(limit)+1))
	if err != nil {
		return nil, err
	}
	if len(data) > limit {
		return nil, &Error{f.name, 0, fmt.Sprintf("it has more than %d MiB; split it into several files", limit>>20)}
	}
	return data, nil
}

// shortened cuts what somebody else wrote to what fits a line.
func shortened(s string) string {
	if s = strings.ToValidUTF8(s, "?"); len(s) > 64 {
		return strings.ToValidUTF8(s[:64], "") + "…"
	}
	return s
}
