package badger

import (
	"context"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"

	"github.com/dgraph-io/badger/v4"

	"github.com/secondgate/secondgate/mfa"
	"github.com/secondgate/secondgate/store"
)

// numbered is an event as the row of its number says.
type numbered struct {
	number uint64
	at     moment
	hash   string
}

const numberSize = 8 + momentSize/2

// number keeps the row that leads to the event by its number. It holds the hash, so that
// forgetting goes on behind an event that cannot be read.
func (w *writing) number(number uint64, m moment, hash string) error {
	raw, err := hex.DecodeString(hash)
	if err != nil {
		return err
	}
	return w.set(eventNumber(number, m), raw, 0)
}

// scanNumbers calls fn with the events of the chain in order, from that number on.
func scanNumbers(txn *badger.Txn, from uint64, fn func(numbered) (more bool, err error)) error {
	opts := badger.DefaultIteratorOptions
	opts.PrefetchValues = false // they stand beside the names, and most need none
	opts.Prefix = []byte(numberPrefix)
	it := txn.NewIterator(opts)
	defer it.Close()
	for it.Seek(binary.BigEndian.AppendUint64([]byte(numberPrefix), from)); it.Valid(); it.Next() {
		name := it.Item().Key()[len(numberPrefix):]
		if len(name) != numberSize {
			return errIndex
		}
		number := binary.BigEndian.Uint64(name)
		m := moment(name[8:]) + moment(binary.BigEndian.AppendUint64(nil, ^number))
		hash, err := it.Item().ValueCopy(nil)
		if err != nil {
			return fmt.Errorf("reading from the store: %w", err)
		}
		if more, err := fn(numbered{number, m, hex.EncodeToString(hash)}); err != nil || !more {
			return err
		}
	}
	return nil
}

// EventsInOrder implements mfa.EventLog. One that is there and cannot be read is a
// *mfa.ChainError and store.ErrDamaged.
func (s *Store) EventsInOrder(ctx context.Context, from uint64, limit int) ([]mfa.Event, error) {
	if limit < 1 {
		return nil, nil
	}
	var list []mfa.Event
	err := s.view(ctx, func(txn *badger.Txn) error {
		return scanNumbers(txn, from, func(n numbered) (bool, error) {
			if err := ctx.Err(); err != nil {
				return false, err
			}
			var e mfa.Event
			err := s.read(txn, n.at.row(), &e)
			switch {
			case errors.Is(err, mfa.ErrNotFound):
				return true, nil
			case errors.Is(err, store.ErrDamaged):
				return false, fmt.Errorf("reading events: %w: %w", &mfa.ChainError{Number: n.number, What: mfa.ChainChanged}, err)
			case err != nil:
				return false, fmt.Errorf("reading events: %w", err)
			}
			list = append(list, e)
			return len(list) < limit, nil
		})
	})
	if err != nil {
		return nil, err
	}
	return list, nil
}

// ChainEnds implements mfa.EventLog.
func (s *Store) ChainEnds(ctx context.Context) (mfa.ChainEnds, error) {
	var ends mfa.ChainEnds
	err := s.view(ctx, func(txn *badger.Txn) (err error) {
		ends, err = s.chainEnds(txn)
		return err
	})
	return ends, err
}

func (s *Store) chainEnds(txn *badger.Txn) (mfa.ChainEnds, error) {
	n, err := s.readCount(txn)
	if err != nil {
		return mfa.ChainEnds{}, fmt.Errorf("reading the ends of the events: %w", err)
	}
	var start store.EventStart
	err = s.read(txn, eventStartRow, &start)
	switch {
	case errors.Is(err, mfa.ErrNotFound):
		if start.First = n.Began; n.Began == 0 {
			start.First = n.Count + 1
		}
	case err != nil:
		return mfa.ChainEnds{}, fmt.Errorf("reading the ends of the events: %w", err)
	}
	return mfa.ChainEnds{First: start.First, Before: start.Before, Last: n.Count, Head: n.Head}, nil
}

// readCount returns how many events there were. Where it is gone though there is a chain,
// somebody took it away: numbers would begin anew.
func (s *Store) readCount(txn *badger.Txn) (store.EventCount, error) {
	var n store.EventCount
	err := s.read(txn, eventCountRow, &n)
	if !errors.Is(err, mfa.ErrNotFound) {
		return n, err
	}
	err = s.read(txn, eventStartRow, &store.EventStart{})
	if err == nil {
		return n, errIndex
	}
	if !errors.Is(err, mfa.ErrNotFound) {
		return n, err
	}
	return n, scanNumbers(txn, 0, func(numbered) (bool, error) { return false, errIndex })
}

// forget removes every event that is too old. It needs as much room as any other
// change: what it removes is free only after Badger has rewritten its tables, and
// the reserve is for ending sessions.
func (s *Store) forget(ctx context.Context) error {
	if err := s.forgetUnnumbered(ctx); err != nil {
		return err
	}
	last, err := s.lastOld(ctx)
	if err != nil {
		return err
	}
	for {
		names, start, err := s.oldEvents(ctx, last)
		if err != nil || len(names) == 0 {
			return err
		}
		if err := s.forgetRows(ctx, names, &start); err != nil {
			return err
		}
	}
}

// forgetRows removes these rows, and moves the beginning of the chain in the same write.
func (s *Store) forgetRows(ctx context.Context, names [][]byte, start *store.EventStart) error {
	return s.update(ctx, nil, func(w *writing) error {
		for _, name := range names {
			if err := w.remove(name); err != nil {
				return err
			}
		}
		if start == nil {
			return nil
		}
		return w.put(eventStartRow, start, 0)
	})
}

// lastOld returns the number of the last event that goes: all before it go, too. An
// event of the future has a wrong time: it does not keep old ones behind it for years,
// and goes together with the next one that is old.
func (s *Store) lastOld(ctx context.Context) (last uint64, err error) {
	to, now := s.forgotten(), behind(s.now())
	err = s.view(ctx, func(txn *badger.Txn) error {
		ends, err := s.chainEnds(txn)
		if err != nil {
			return err
		}
		return scanNumbers(txn, ends.First, func(n numbered) (bool, error) {
			if n.at > to {
				last = n.number
			}
			return n.at > to || n.at < now, ctx.Err()
		})
	})
	return last, err
}

// oldEvents returns the rows of some of the first events of the chain up to last, and
// where the chain begins without them.
func (s *Store) oldEvents(ctx context.Context, last uint64) (names [][]byte, start store.EventStart, err error) {
	size, unreadable := 0, 0
	err = s.view(ctx, func(txn *badger.Txn) error {
		ends, err := s.chainEnds(txn)
		if err != nil {
			return err
		}
		return scanNumbers(txn, ends.First, func(n numbered) (bool, error) {
			if err := ctx.Err(); err != nil || n.number > last {
				return false, err
			}
			rows := [][]byte{n.at.row().key(), eventNumber(n.number, n.at)}
			var e mfa.Event
			if err := s.read(txn, n.at.row(), &e); err == nil {
				rows = append(rows, n.at.indexes(&e)...)
			} else {
				unreadable++ // it goes all the same, or those behind it would stay for ever
			}
			for _, name := range rows {
				size += len(name)
			}
			names, start = append(names, rows...), store.EventStart{First: n.number + 1, Before: n.hash}
			return size < forgetBytes, nil
		})
	})
	if unreadable > 0 {
		s.log.Warn("store: old events that cannot be read are removed", "count", unreadable)
	}
	return names, start, err
}

// forgetUnnumbered removes old events from before there was a chain.
func (s *Store) forgetUnnumbered(ctx context.Context) error {
	from := s.forgotten()
	for {
		names, last, err := s.oldUnnumbered(ctx, from)
		if err != nil || last == "" {
			return err
		}
		if len(names) > 0 {
			if err := s.forgetRows(ctx, names, nil); err != nil {
				return err
			}
		}
		from = last // what was removed is not walked over again
	}
}

// oldUnnumbered returns the rows of some of them behind from, and the moment at which it
// stopped to look; "" at the end.
func (s *Store) oldUnnumbered(ctx context.Context, from moment) (names [][]byte, last moment, err error) {
	size, looked, unreadable := 0, 0, 0
	err = s.view(ctx, func(txn *badger.Txn) error {
		n, err := s.readCount(txn)
		if err != nil {
			return err
		}
		if n.Began == 1 {
			return nil // there never were any
		}
		return scan(txn, prefixes[store.Events], string(from), func(rest string) (bool, error) {
			if err := ctx.Err(); err != nil {
				return false, err
			}
			if looked++; looked > lookAt {
				return false, nil
			}
			last = moment(rest)
			if n.Began > 0 && len(last) == momentSize && ^binary.BigEndian.Uint64([]byte(last[momentSize/2:])) >= n.Began {
				return true, nil
			}
			rows := [][]byte{last.row().key()}
			var e mfa.Event
			if err := s.read(txn, last.row(), &e); err == nil {
				rows = append(rows, last.indexes(&e)...)
			} else {
				unreadable++
			}
			for _, name := range rows {
				size += len(name)
			}
			names = append(names, rows...)
			return size < forgetBytes, nil
		})
	})
	if unreadable > 0 {
		s.log.Warn("store: old events that cannot be read are removed", "count", unreadable)
	}
	return names, last, err
}
