package badger

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/dgraph-io/badger/v4"
	"github.com/dgraph-io/badger/v4/options"

	"github.com/secondgate/secondgate/internal/durable"
	"github.com/secondgate/secondgate/internal/seal"
	"github.com/secondgate/secondgate/mfa"
	"github.com/secondgate/secondgate/store"
)

// What keeps a store from being opened or used. Damage is store.ErrDamaged, a
// newer store is store.ErrNewer; one into which a copy was not finished, store.ErrFilling.
var (
	// ErrFull says that so little space is left that nothing more is written.
	ErrFull = errors.New("the disk is nearly full")
	// ErrInUse says that another process, or this one, has the folder open.
	ErrInUse = errors.New("another process has the store open")
	// ErrLost says that there was a store, and that what is there now is not it
	// or only a part of it.
	ErrLost = errors.New("the store is incomplete")
	// ErrStuck says that the system refused a file that the store cannot go on
	// without. Opening it anew helps, once the cause is gone.
	ErrStuck = errors.New("the store could not make a file and has stopped")
	// ErrClosed says that the store was closed.
	ErrClosed = errors.New("the store is closed")
)

// Options say what to open.
type Options struct {
	// Dir is the folder of the store. It is made where there never was one.
	Dir string
	// Marker is the file that says that there was a store; "": Dir with
	// ".initialized" after it. It must not be inside Dir.
	Marker string
	// Keys seal the records.
	Keys *seal.Keyset
	// Logger is told what goes wrong; nil: nobody is.
	Logger *slog.Logger
	// MinFree is how many bytes must be free for a change to be accepted; 0: 256
	// MiB. Events are accepted only where twice as many are.
	MinFree uint64
	// KeepEvents is how long events are kept; 0: 90 days. An event that is older is
	// not returned any more, and is removed within the hour.
	KeepEvents time.Duration
	// Still has nothing removed of itself: what is read for a copy is to be there when
	// the copy is compared.
	Still bool
	// Fill opens the store for a copy of what it says in words: a new one, or one in which
	// the same copy was begun. Anything else is store.ErrNotEmpty or store.ErrFilling.
	Fill string
	// Now is the clock by which records expire; nil: time.Now.
	Now func() time.Time

	// verifyWait is how long Open waits for the files to be read and compared with
	// their checksums; a larger store is opened meanwhile. 0: 150 ms.
	verifyWait time.Duration
	// verifyFirst is how many bytes of files are compared before Badger is opened, or while
	// it is; 0: 512 MiB, none: 1.
	verifyFirst int64
}

const (
	lockWait    = 2 * time.Second
	anchorEvery = 10 * time.Second
)

// Store implements mfa.Store.
type Store struct {
	dir         string
	markerPath  string
	db          *badger.DB
	codec       store.Codec
	log         *slog.Logger
	now         func() time.Time
	space       *space
	doomed      store.Doomed
	locks       *store.Stripes
	exclusive   turns // of Exclusively
	keepEvents  time.Duration
	appending   chan struct{} // holds whoever appends events
	verifyWait  time.Duration
	verifyFirst int64
	fresh       bool
	fill        string     // what is being copied in; "": nothing
	index       *indexMeta // set when the store is open

	use    sync.RWMutex // held for reading by whoever uses db
	closed bool
	damage atomic.Pointer[damageError]
	stuck  atomic.Bool

	markMu   sync.Mutex
	mark     marker // what the marker file holds
	anchored uint64 // what the store's anchor holds
	dirty    atomic.Bool

	ctx       context.Context // ends with Close
	stop      context.CancelFunc
	work      sync.WaitGroup
	closeOnce sync.Once
	closeErr  error

	listenMu              sync.RWMutex
	listeners             []func(mfa.UserID)
	organizationListeners []*func()
}

// Open opens the store, or makes one where there never was one. It does not look
// at the records, so that its time does not grow with them; it refuses a folder
// that is damaged, incomplete or older than its marker says (store.ErrDamaged,
// ErrLost), open elsewhere (ErrInUse), or without room (ErrFull).
func Open(o Options) (*Store, error) {
	s, err := open(o)
	if err != nil {
		return nil, fmt.Errorf("opening the store: %w", err)
	}
	return s, nil
}

func open(o Options) (*Store, error) {
	if o.Dir == "" || o.Keys == nil {
		return nil, errors.New("a folder and keys are needed")
	}
	if o.KeepEvents < 0 {
		return nil, errors.New("events cannot be kept for less than no time")
	}
	dir, err := filepath.Abs(o.Dir)
	if err != nil {
		return nil, err
	}
	s := &Store{
		dir: dir, markerPath: o.Marker, codec: store.NewCodec(o.Keys), log: o.Logger, now: o.Now,
		space: newSpace(dir, o.MinFree), locks: store.NewStripes(), keepEvents: o.KeepEvents,
		fill: o.Fill, appending: make(chan struct{}, 1), verifyWait: o.verifyWait, verifyFirst: o.verifyFirst,
	}
	if s.keepEvents == 0 {
		s.keepEvents = store.DefaultKeepEvents
	}
	if s.verifyWait == 0 {
		s.verifyWait = 150 * time.Millisecond
	}
	if s.verifyFirst == 0 {
		s.verifyFirst = 512 << 20
	}
	if s.markerPath == "" {
		s.markerPath = dir + ".initialized"
	}
	if s.log == nil {
		s.log = slog.New(slog.DiscardHandler)
	}
	if s.now == nil {
		s.now = time.Now
	}
	s.ctx, s.stop = context.WithCancel(context.Background())
	err = s.openFiles()
	if err == nil {
		err = s.openRecords()
	}
	if err != nil {
		s.stop()
		s.work.Wait()
		if s.db != nil {
			_ = s.db.Close()
		}
		return nil, err
	}
	s.work.Go(s.keepAnchored)
	s.work.Go(s.retryDoomed)
	if !o.Still && o.Fill == "" {
		s.work.Go(s.keepForgetting)
	}
	return s, nil
}

// openFiles waits for the lock, looks at the files and opens the database.
func (s *Store) openFiles() error {
	if err := s.makeDir(); err != nil {
		return err
	}
	if err := s.space.checkOpen(); err != nil {
		return err
	}
	deadline := time.Now().Add(lockWait)
	for {
		err := s.tryOpen()
		if !errors.Is(err, ErrInUse) || time.Now().After(deadline) {
			return err
		}
		time.Sleep(50 * time.Millisecond)
	}
}

// makeDir makes the folder, except where there was one.
func (s *Store) makeDir() error {
	_, err := os.Stat(s.dir)
	if !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	m, err := readMarker(s.markerPath)
	if err != nil {
		return err
	}
	if m != nil && m.Anchor > 0 {
		return s.lost("the folder is gone")
	}
	if err := os.MkdirAll(s.dir, 0o700); err != nil {
		return err
	}
	return durable.SyncFolder(filepath.Dir(s.dir))
}

func (s *Store) tryOpen() error {
	unlock, ok, err := lockDir(s.dir)
	if err != nil {
		return err
	}
	if !ok {
		return fmt.Errorf("%w: %s", ErrInUse, s.dir)
	}
	release := sync.OnceFunc(unlock)
	defer release()

	m, err := readMarker(s.markerPath)
	if err != nil {
		return err
	}
	if m != nil && m.Damage != "" {
		return fmt.Errorf("%w; then remove %s", &damageError{m.Damage}, s.markerPath)
	}
	made, err := hasStore(s.dir)
	if err != nil {
		return err
	}
	switch {
	case !made && m != nil && m.Anchor > 0:
		return s.lost("the manifest is gone")
	case !made && m == nil:
		// First of all the marker: whatever stops us from here on, an empty folder
		// is taken for a new one only until the store stands.
		m = &marker{}
		if err := m.write(s.markerPath); err != nil {
			return err
		}
	case m == nil:
		// It was restored without its marker: then it has an anchor, and the marker
		// is written anew.
		m = &marker{Anchor: 1}
		s.dirty.Store(true)
	}
	s.markMu.Lock()
	s.mark = *m
	s.markMu.Unlock()
	var verified <-chan struct{}
	opened, stands := make(chan bool, 1), false
	defer func() { opened <- stands }()
	if made {
		if verified, err = s.verifyFiles(opened); err != nil {
			return err
		}
	}
	release() // Badger takes it at once; who comes in between makes us try again
	if err := s.openDB(); err != nil {
		return err
	}
	stands = true
	if made {
		s.keepTables(verified)
	}
	return nil
}

// keepTables has Badger keep every file that it has now until all were compared
// with their checksums: it empties what it has rewritten, also for who has it
// open, and with that what would have shown the damage that it rewrote.
func (s *Store) keepTables(verified <-chan struct{}) {
	opts := badger.DefaultIteratorOptions
	opts.PrefetchValues = false
	txn := s.db.NewTransaction(false)
	holding := txn.NewIterator(opts) // holds the files until it is closed
	s.work.Go(func() {
		<-verified
		holding.Close()
		txn.Discard()
	})
}

// hasStore reports whether the folder holds a store. One that holds something
// else, or a store without its manifest, is never written to.
func hasStore(dir string) (bool, error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return false, err
	}
	var strange string
	for _, e := range entries {
		switch e.Name() {
		case badger.ManifestFilename:
			return true, nil
		case "LOCK", "MANIFEST-REWRITE", "lost+found": // a first start was cut short; a volume's own folder
		default:
			strange = e.Name()
		}
	}
	if strange != "" {
		return false, fmt.Errorf("%w: %s holds %s but no manifest; restore the newest backup, or name another folder", ErrLost, dir, strange)
	}
	return false, nil
}

// verifyFiles compares the files with their checksums. What takes longer than a moment goes
// on while the store is used, and stops it when it finds something; the channel is closed
// when that is over. Files that are too many for a moment are compared when the store is
// open, so that opening does not share processor and disk with it.
func (s *Store) verifyFiles(opened <-chan bool) (verified <-chan struct{}, err error) {
	files, err := findTables(s.dir)
	if err != nil {
		return nil, err
	}
	large := files.size() > s.verifyFirst
	done, over := make(chan error, 1), make(chan struct{})
	s.work.Go(func() {
		defer close(over)
		if large && !<-opened {
			done <- nil // it is tried again, or not opened at all
			return
		}
		done <- files.verify(s.ctx)
	})
	if !large {
		select {
		case err := <-done:
			return over, err
		case <-time.After(s.verifyWait):
		}
	}
	s.work.Go(func() {
		err := <-done
		var damage *damageError
		switch {
		case errors.As(err, &damage):
			s.setDamage(damage.detail)
		case err != nil && s.ctx.Err() == nil:
			s.setDamage(err.Error())
		}
	})
	return over, nil
}

func (s *Store) openDB() error {
	var mentioned atomic.Pointer[string]
	opts := badger.DefaultOptions(s.dir).
		WithLogger(logger{to: s.log, damaged: func(detail string) {
			mentioned.CompareAndSwap(nil, &detail)
		}}).
		// Small tables in memory and no caches: the records are few and the system
		// caches files. All values stand in the tables, none in the value log.
		WithMemTableSize(2 << 20).WithNumMemtables(2).WithBlockSize(16 << 10).
		WithNumLevelZeroTables(2).WithNumLevelZeroTablesStall(8).WithNumCompactors(2).
		WithValueLogFileSize(1 << 20).WithValueThreshold(valueThreshold).
		WithCompression(options.None).WithBlockCacheSize(0).WithIndexCacheSize(0).
		WithChecksumVerificationMode(options.OnBlockRead).
		WithMetricsEnabled(false).
		WithDetectConflicts(true).
		// A change that was acknowledged survives a power cut.
		WithSyncWrites(true)
	db, err := badger.Open(opts)
	if err != nil {
		if strings.Contains(err.Error(), "Another process is using this Badger database") {
			return fmt.Errorf("%w: %s", ErrInUse, s.dir)
		}
		return err
	}
	if detail := mentioned.Load(); detail != nil {
		_ = db.Close()
		return &damageError{*detail}
	}
	s.db = db
	return nil
}

// openRecords looks at the one record that says how far the store had come.
func (s *Store) openRecords() error {
	fresh, err := s.checkAnchor()
	if err != nil {
		return err
	}
	s.fresh = fresh
	if fresh {
		// In the same write as the anchor: a store that holds anything but no anchor is
		// taken for one that has lost its newest changes.
		if s.index, err = newIndex(); err != nil {
			return err
		}
	}
	if !fresh {
		if err := s.checkFilling(); err != nil {
			return err
		}
	}
	if fresh || s.dirty.Load() {
		if err := s.writeAnchor(); err != nil || fresh {
			return err
		}
	}
	return s.openIndex()
}

// keepAnchored moves the anchor on while there are changes, so that a later loss
// of what is on disk by now shows.
func (s *Store) keepAnchored() {
	tick := time.NewTicker(anchorEvery)
	defer tick.Stop()
	for {
		select {
		case <-s.ctx.Done():
			return
		case <-tick.C:
		}
		if !s.dirty.Load() {
			continue
		}
		if err := s.writeAnchor(); err != nil && s.ctx.Err() == nil {
			s.log.Warn("store: the anchor was not moved", "error", err)
		}
	}
}

// Fresh reports whether there was no store before this Open made it. It is the
// one moment at which a link for the first administrator may be made unasked.
func (s *Store) Fresh() bool { return s.fresh }

// Close waits for what is running and closes the store. Closing again does
// nothing. Afterwards every method answers ErrClosed.
func (s *Store) Close() error {
	s.closeOnce.Do(func() { s.closeErr = s.close() })
	return s.closeErr
}

func (s *Store) close() error {
	var err error
	if s.dirty.Load() {
		err = s.writeAnchor()
		if errors.Is(err, ErrFull) || errors.Is(err, store.ErrDamaged) {
			err = nil // known, and said before
		}
	}
	last, cancel := context.WithTimeout(s.ctx, time.Second)
	s.endDoomed(last)
	cancel()
	s.stop()
	s.work.Wait()
	s.use.Lock()
	defer s.use.Unlock()
	s.closed = true
	if full := s.space.checkOpen(); full != nil {
		// Closing writes a table through a memory map: without room it would end the
		// process. All that was acknowledged stands in the log, as after a crash.
		return fmt.Errorf("closing the store: left as it is for the next start: %w", full)
	}
	if closeErr := s.db.Close(); err == nil {
		err = closeErr
	}
	if err != nil {
		return fmt.Errorf("closing the store: %w", err)
	}
	return nil
}

// InStep implements mfa.Changes. Whoever else changes something does it through this
// store: nobody else can open the folder.
func (s *Store) InStep() bool { return true }

// OnChange implements mfa.Changes.
func (s *Store) OnChange(fn func(mfa.UserID)) {
	s.listenMu.Lock()
	defer s.listenMu.Unlock()
	// A new slice: announcements that are under way keep the one they read.
	s.listeners = append(s.listeners[:len(s.listeners):len(s.listeners)], fn)
}

func (s *Store) announce(user mfa.UserID) {
	s.listenMu.RLock()
	listeners := s.listeners
	s.listenMu.RUnlock()
	for _, fn := range listeners {
		fn(user)
	}
}

var _ mfa.Store = (*Store)(nil)
