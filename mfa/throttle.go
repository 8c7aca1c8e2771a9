package mfa

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"net/netip"
	"slices"
	"time"
)

// Where a factor, or a password, stops until somebody unlocks it (security
// defaults; NIST SP 800-63B-4 §3.2.2 allows 100 at most).
const (
	lockFactorAt   = 50
	lockPasswordAt = 100
	lockNever      = 1 << 30
)

// forever is the end of a lock that only an administrator ends.
var forever = time.Date(9999, 1, 1, 0, 0, 0, 0, time.UTC)

// penalty returns how long attempts are refused after that many failures in a
// row, counting the one that is just being made.
func penalty(failures, lockAt int) (wait time.Duration, locked bool) {
	switch {
	case failures >= lockAt:
		return 0, true
	case failures < 5:
		return 0, false
	case failures == 5:
		return 30 * time.Second, false
	case failures < 10:
		return time.Minute << (failures - 6), false
	case failures < 20:
		return 15 * time.Minute, false
	}
	return longestPenalty, false
}

const longestPenalty = time.Hour

// counter is one throttle key with the rule that it follows.
type counter struct {
	key string
	// lockAt is where a counter of failures locks; 0: a budget per window.
	lockAt int
	first  bool // of a first factor
	of     holder
	kind   Kind
	window time.Duration
	budget int
}

// count judges one more attempt. It returns a *ThrottledError where the attempt
// must not be made, and counts it otherwise.
func (c counter) count(a *Attempts, now time.Time) error {
	if now.Before(a.Until) {
		if a.Until.Equal(forever) {
			return &ThrottledError{Locked: true}
		}
		if a.Until.Sub(now) > longestPenalty {
			a.Until = now.Add(longestPenalty) // the clock was ahead when it was set
		}
		return &ThrottledError{RetryAfter: a.Until.Sub(now)}
	}
	if c.lockAt > 0 {
		if a.Count == 0 {
			a.Since = now
		}
		a.Count++
		if wait, locked := penalty(a.Count, c.lockAt); locked {
			a.Until = forever
		} else if wait > 0 {
			a.Until = now.Add(wait)
		}
		return nil
	}
	// A clock that was set back must not open a window for longer than it is.
	if now.Sub(a.Since) >= c.window || now.Before(a.Since) {
		*a = Attempts{Since: now, Forget: now.Add(c.window)}
	}
	if a.Count >= c.budget {
		return &ThrottledError{RetryAfter: a.Since.Add(c.window).Sub(now)}
	}
	a.Count++
	return nil
}

func factorKey(u UserID, k Kind) string { return "user:" + string(u) + ":" + string(k) }

func factorCounter(u *User, k Kind) counter {
	c := counter{key: factorKey(u.ID, k), lockAt: lockFactorAt, of: holderOf(u), kind: k}
	if k == Passkey {
		// Nobody guesses a signature, so nothing is won by a lock, and whoever knows
		// the password could take the owner's best factor away with it.
		c.lockAt = lockNever
	}
	return c
}

func passwordCounter(u *User) counter {
	return counter{key: factorKey(u.ID, Password), lockAt: lockPasswordAt, first: true, of: holderOf(u), kind: Password}
}

// unknownNameCounter counts guesses at a name that nobody has. It follows the
// curve of a real one, so that the answers do not tell names apart, and falls
// into one of 65,536 places, so that made-up names cannot fill the store. Which
// place is a secret: whoever could find two names of one place could see whether
// one of them is real by wearing out the other.
func (g *Gate) unknownNameCounter(source, name string) counter {
	mac := hmac.New(sha256.New, g.cfg.NameKey())
	mac.Write([]byte(source + "\x00" + name))
	return counter{key: "name:" + hex.EncodeToString(mac.Sum(nil)[:2]), lockAt: lockPasswordAt, first: true}
}

// networkCounters limit failures from one network, whoever they are for. Those at
// passwords and those at second factors count apart: strangers who guess passwords
// must not keep people of the same network from their second step. Clients without
// an address share one, which is smaller: a missing address must never mean a
// missing limit.
func networkCounters(network string, own counter) []counter {
	what := "factor:"
	if own.first {
		what = "password:"
	}
	return networkBudgets(what, network)
}

// networkBudgets are the counters of a network for one kind of attempt.
func networkBudgets(what, network string) []counter {
	minute, ten := 30, 100
	if network == "" || network == unknownNetwork {
		network, minute, ten = unknownNetwork, 10, 30
	}
	list := budgets(what+network, minute, ten)
	for i, wider := range widerNetworks(network) {
		list = append(list, budgets(what+wider, (2<<i)*minute, (2<<i)*ten)...)
	}
	return list
}

// widerNetworks returns the /56 and the /48 that a /64 belongs to, which is one line of
// one customer, who may have 65,536 of them. Each has twice the budget of the one before.
func widerNetworks(network string) (list []string) {
	prefix, err := netip.ParsePrefix(network)
	if err != nil || !prefix.Addr().Is6() {
		return nil
	}
	for _, bits := range []int{56, 48} {
		if wider, err := prefix.Addr().Prefix(bits); err == nil {
			list = append(list, wider.String())
		}
	}
	return list
}

func budgets(key string, minute, ten int) []counter {
	return []counter{
		{key: "net1:" + key, window: time.Minute, budget: minute},
		{key: "net10:" + key, window: 10 * time.Minute, budget: ten},
	}
}

const unknownNetwork = "unknown"

// reservation is what was counted for an attempt: its own counter first.
type reservation []counter

// reserve counts an attempt before anything is compared, so that parallel guesses
// cannot outrun the counter. It answers a *ThrottledError where the attempt must not
// be made; then nothing is counted. A known device is counted by itself for as long
// as it has tries left, and neither the account's counter nor its network's is
// asked: strangers wear out both.
func (g *Gate) reserve(ctx context.Context, at *Place, own counter) (reservation, error) {
	var later *ThrottledError // when the device has tries again
	if device := g.knownDevice(at, own.of); device != "" {
		r := deviceCounters(own.of, device, own.kind)
		err := g.count(ctx, r...)
		if !errors.As(err, &later) {
			return r, err
		}
	}
	r := append(reservation{own}, networkCounters(at.Network, own)...)
	err := g.count(ctx, r...)
	var throttled *ThrottledError
	if later != nil && errors.As(err, &throttled) && throttled.Locked {
		return r, later // the account's lock does not end by waiting, the device's wait does
	}
	return r, err
}

// count is reserve for the counters given.
func (g *Gate) count(ctx context.Context, counters ...counter) error {
	keys := make([]string, len(counters))
	for i, c := range counters {
		keys[i] = c.key
	}
	now := g.now()
	var locked *counter
	err := g.cfg.Store.UpdateAttempts(ctx, keys, func(all []Attempts) error {
		locked = nil
		for i, c := range counters {
			if err := c.count(&all[i], now); err != nil {
				return err
			}
			if all[i].Until.Equal(forever) {
				locked = &counters[i]
			}
		}
		return nil
	})
	if err == nil && locked != nil {
		g.markLocked(ctx, *locked)
	}
	return err
}

// markLocked notes on the user that an administrator has to help. The counter decides:
// that it could not be noted keeps nobody out and lets nobody in.
func (g *Gate) markLocked(ctx context.Context, c counter) {
	user := c.of.id
	if user == "" {
		return
	}
	_ = g.cfg.Store.UpdateUser(ctx, user, func(u *User) error {
		if !slices.Contains(u.Locked, c.kind) {
			u.Locked = append(u.Locked, c.kind)
		}
		return nil
	})
}

// forgive clears the attempt's own counter after a success, and gives the network
// its attempt back: a whole company signs in from one address in the morning, and
// only failures are to count against it.
func (g *Gate) forgive(ctx context.Context, r reservation) error {
	return g.giveBack(ctx, r, func(a *Attempts) { *a = Attempts{} })
}

// refund takes back a reservation of an attempt that was never compared.
func (g *Gate) refund(ctx context.Context, r reservation) {
	// Best effort: a counter that stays one too high only asks for patience.
	_ = g.giveBack(ctx, r, func(a *Attempts) {
		takeOne(a)
		if own := r[0]; own.lockAt > 0 && a.Count < own.lockAt {
			a.Until = time.Time{}
		}
	})
}

func (g *Gate) giveBack(ctx context.Context, r reservation, change func(*Attempts)) error {
	keys := make([]string, len(r))
	for i, c := range r {
		keys[i] = c.key
	}
	return g.cfg.Store.UpdateAttempts(ctx, keys, func(all []Attempts) error {
		change(&all[0])
		for i := range all[1:] {
			takeOne(&all[1+i])
		}
		return nil
	})
}

// clear forgets what was counted under the keys.
func (g *Gate) clear(ctx context.Context, keys ...string) error {
	return g.cfg.Store.UpdateAttempts(ctx, keys, func(all []Attempts) error {
		clear(all)
		return nil
	})
}

// unlock forgets the failed attempts at what the user proves by these.
func (g *Gate) unlock(ctx context.Context, user UserID, kinds ...Kind) error {
	keys := make([]string, len(kinds))
	for i, k := range kinds {
		keys[i] = factorKey(user, k)
	}
	if err := g.clear(ctx, keys...); err != nil {
		return err
	}
	return g.cfg.Store.UpdateUser(ctx, user, func(u *User) error {
		u.Locked = slices.DeleteFunc(u.Locked, func(k Kind) bool { return slices.Contains(kinds, k) })
		return nil
	})
}

func takeOne(a *Attempts) {
	if a.Count > 0 {
		a.Count--
	}
}

// lockedUntil says how long a factor of the user is refused here; at nil asks for
// everybody's browsers.
func (g *Gate) lockedUntil(ctx context.Context, at *Place, u *User, k Kind) (wait time.Duration, locked bool, err error) {
	now := g.now()
	var later time.Duration
	if device := g.knownDevice(at, holderOf(u)); device != "" {
		for _, c := range deviceCounters(holderOf(u), device, k) {
			a, err := g.cfg.Store.Attempts(ctx, c.key)
			if err != nil {
				return 0, true, err
			}
			var throttled *ThrottledError
			if errors.As(c.count(&a, now), &throttled) {
				later = max(later, throttled.RetryAfter)
			}
		}
		if later == 0 {
			return 0, false, nil
		}
	}
	a, err := g.cfg.Store.Attempts(ctx, factorKey(u.ID, k))
	if err != nil {
		return 0, true, err
	}
	switch {
	case a.Until.Equal(forever):
		return later, true, nil
	case now.Before(a.Until):
		return a.Until.Sub(now), true, nil
	}
	return 0, false, nil
}
