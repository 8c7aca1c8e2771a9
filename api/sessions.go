package api

import (
	"errors"
	"net/http"
	"time"

	"github.com/secondgate/secondgate/mfa"
)

type (
	sessionsDocument struct {
		Sessions []sessionDocument `json:"sessions"`
	}
	devicesDocument struct {
		Devices []deviceDocument `json:"devices"`
	}
	noticesDocument struct {
		Notices []noticeDocument `json:"notices"`
	}
)

func (a *API) readSessions(c *call) (any, error) {
	account, err := c.look()
	if err != nil {
		return nil, err
	}
	return sessionsDocument{sessionsOf(account)}, nil
}

// endSession ends one session of the person. Where it is the one that asks, the browser's
// cookies go with it.
func (a *API) endSession(c *call) (any, error) {
	id, err := c.id()
	if err != nil {
		return nil, err
	}
	account, err := c.lookAs(id)
	if err != nil {
		return nil, err
	}
	handle := c.name("id")
	if err := a.gate.EndSession(c.r.Context(), &c.at, id, handle); err != nil {
		return nil, c.orOwed(id, err)
	}
	for _, s := range account.Sessions {
		if s.Current && s.Handle == handle {
			a.guard.ClearSession(c.w, c.req)
		}
	}
	return nil, nil
}

func (a *API) endOthers(c *call) (any, error) {
	id, err := c.id()
	if err != nil {
		return nil, err
	}
	out, err := a.gate.EndOtherSessions(c.r.Context(), &c.at, id)
	if err != nil {
		return nil, c.orOwed(id, err)
	}
	return nil, c.keep(out)
}

func (a *API) readDevices(c *call) (any, error) {
	account, err := c.look()
	if err != nil {
		return nil, err
	}
	return devicesDocument{devicesOf(account)}, nil
}

func (a *API) forgetDevice(c *call) (any, error) {
	id, err := c.id()
	if err != nil {
		return nil, err
	}
	return nil, c.orOwed(id, a.gate.ForgetDevice(c.r.Context(), &c.at, id, c.name("id")))
}

func (a *API) forgetDevices(c *call) (any, error) {
	id, err := c.id()
	if err != nil {
		return nil, err
	}
	account, err := c.lookAs(id)
	if err != nil {
		return nil, err
	}
	for _, d := range account.Remembered {
		err := a.gate.ForgetDevice(c.r.Context(), &c.at, id, d.ID)
		if err != nil && !errors.Is(err, mfa.ErrNotFound) { // another request was faster
			return nil, c.orOwed(id, err)
		}
	}
	return nil, nil
}

func (a *API) readNotices(c *call) (any, error) {
	account, err := c.look()
	if err != nil {
		return nil, err
	}
	return noticesDocument{noticesOf(account)}, nil
}

// seenNotices puts away what came in until then, of the time before this sign-in.
func (a *API) seenNotices(c *call) (any, error) {
	id, err := c.id()
	if err != nil {
		return nil, err
	}
	in, err := read[struct {
		Until time.Time `json:"until"`
	}](c)
	if err != nil {
		return nil, err
	}
	return nil, c.orOwed(id, a.gate.SeenNotices(c.r.Context(), &c.at, id, in.Until))
}

func (a *API) changePassword(c *call) (any, error) {
	id, err := c.id()
	if err != nil {
		return nil, err
	}
	in, err := read[struct {
		Old string `json:"old"`
		New string `json:"new"`
	}](c)
	if err != nil {
		return nil, err
	}
	out, err := a.gate.ChangePassword(c.r.Context(), &c.at, id, in.Old, in.New)
	if err != nil {
		return nil, c.orOwed(id, err)
	}
	return nil, c.keep(out)
}

func (a *API) optOut(c *call) (any, error) {
	id, err := c.started()
	if err != nil {
		return nil, err
	}
	return nil, c.orOwed(id, a.gate.OptOut(c.r.Context(), &c.at, id))
}

func (a *API) optIn(c *call) (any, error) {
	id, err := c.id()
	if err != nil {
		return nil, err
	}
	return nil, c.orOwed(id, a.gate.OptIn(c.r.Context(), &c.at, id))
}

// signOut ends what this browser holds and takes the cookies away, whether or not there
// was a session (AC-040).
func (a *API) signOut(c *call) (any, error) {
	if _, err := read[nothing](c); err != nil {
		return nil, err
	}
	for _, find := range []func() (mfa.SessionID, error){c.id, c.halfDone} {
		id, err := find()
		if errors.Is(err, mfa.ErrNoSession) {
			continue
		}
		if err == nil {
			_, err = a.gate.SignOut(c.r.Context(), &c.at, id, "")
		}
		if err != nil {
			return nil, err // whoever signs out must know that it did not work
		}
	}
	a.guard.ClearSession(c.w, c.req)
	// What the app said may be in the browser's cache (AC-129).
	c.w.Header().Set("Clear-Site-Data", `"cache"`)
	return nil, nil
}

// halfDone returns the half-done sign-in of this browser: to sign out of it, and for
// nothing else.
func (c *call) halfDone() (mfa.SessionID, error) {
	view, err := c.api.guard.HalfDone(c.r, c.req)
	if err != nil {
		return "", err
	}
	return view.Session.ID, nil
}

var _ http.Handler = (*API)(nil)
