package badger

import (
	"fmt"
	"math"
	"sync/atomic"
	"time"
)

const (
	// defaultFloor leaves Badger room for what it writes on its own after the last
	// accepted change: memtables, new tables, rewritten levels.
	defaultFloor = 256 << 20
	// reserveFloor is down to where what only takes away is written.
	reserveFloor = 128 << 20
	// openFloor is what opening itself may need.
	openFloor  = 64 << 20
	spaceEvery = 5 * time.Second
)

// space is the free-space floor. Badger writes through memory maps: when the disk
// is full the system answers a write with SIGBUS, which ends the whole process,
// and every restart with it (AC-188).
type space struct {
	dir    string
	floor  uint64
	until  atomic.Int64  // when the answer below was looked up, plus spaceEvery; ns since start
	free   atomic.Uint64 // as it was looked up last
	start  time.Time
	lookUp func(dir string) (uint64, error)
}

func newSpace(dir string, floor uint64) *space {
	if floor == 0 {
		floor = defaultFloor
	}
	s := &space{dir: dir, floor: floor, start: time.Now(), lookUp: freeSpace}
	s.free.Store(math.MaxUint64) // until the first answer, which the first write asks for
	return s
}

// check returns ErrFull below the floor.
func (s *space) check() error { return s.above(s.floor) }

// checkReserve is check for what only takes away.
func (s *space) checkReserve() error { return s.above(min(s.floor, reserveFloor)) }

// checkEvents is check for events. They stop at twice the floor: they are the one
// thing here that anybody on the network adds to without end, and what they leave
// free is kept for sign-ins, for users and for ending sessions. So it is never the
// log of an attack that fills the disk.
func (s *space) checkEvents() error { return s.above(s.floor + min(s.floor, math.MaxUint64-s.floor)) }

// above asks the system at most every five seconds: the floors are far larger than
// what is written in that time.
func (s *space) above(floor uint64) error {
	now := int64(time.Since(s.start))
	due := s.until.Load()
	if now >= due && s.until.CompareAndSwap(due, now+int64(spaceEvery)) {
		free, err := s.lookUp(s.dir)
		if err != nil {
			free = 0 // not knowing how much room there is counts as none
		}
		s.free.Store(free)
	}
	if s.free.Load() < floor {
		return fmt.Errorf("%w: less than %d MiB free at %s", ErrFull, floor>>20, s.dir)
	}
	return nil
}

// checkOpen refuses to open where opening itself could run out of space.
func (s *space) checkOpen() error {
	free, err := s.lookUp(s.dir)
	if err != nil {
		return fmt.Errorf("looking up free space: %w", err)
	}
	if floor := min(s.floor, openFloor); free < floor {
		return fmt.Errorf("%w: less than %d MiB free at %s", ErrFull, floor>>20, s.dir)
	}
	return nil
}
