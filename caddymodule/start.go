package caddymodule

import (
	"errors"
	"time"

	"github.com/caddyserver/caddy/v2"
	"go.uber.org/zap"
)

// How long the gateway waits before it tries again to open a store that could not be
// reached: at first, and at most.
const (
	openFirst = 500 * time.Millisecond
	openMost  = 15 * time.Second
)

// errAway says that the database cannot be reached.
var errAway = errors.New("the database cannot be reached")

// coldStart reports whether no configuration runs yet, which this one would replace.
func coldStart() bool { return caddy.ActiveContext().Context == nil }

// open opens the store, builds everything on it and lets requests in.
func (a *App) open() error {
	rt, err := newGeneration(a)
	if err != nil {
		return err
	}
	if err := a.checkLockout(rt); err != nil {
		rt.release()
		return err
	}
	a.opening.Lock()
	defer a.opening.Unlock()
	if a.over {
		rt.release()
		return nil
	}
	a.rt.Store(rt)
	close(a.ready)
	a.emitter.start()
	a.announce(rt)
	return nil
}

// keepOpening tries to open the store until it is open or the configuration is over. Until
// then everybody is refused: there is no generation that could let anybody in (AC-190).
//
// A store that answers and is not to be opened (another key, a newer version, a database
// that was lost) is tried again all the same: whoever puts that right need not restart.
func (a *App) keepOpening() {
	for wait := openFirst; ; wait = min(2*wait, openMost) {
		select {
		case <-a.ctx.Done():
			return
		case <-time.After(wait):
		}
		err := a.open()
		switch {
		case err == nil:
			return
		case a.store.away(err):
			a.logger.Warn(errAway.Error()+" yet", zap.String("store", a.store.place()), zap.Error(err))
		default:
			a.logger.Error("the database answers, but the gateway does not open it and refuses everybody", zap.String("store", a.store.place()), zap.Error(err))
		}
	}
}
