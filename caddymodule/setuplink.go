package caddymodule

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"

	"go.uber.org/zap"
	"golang.org/x/term"

	"github.com/secondgate/secondgate/mfa"
)

// linkPath is where links lead to. The token stands in the fragment, which
// browsers do not send: no access log on the way sees it.
const linkPath = "/.mfa/link#"

// firstStart makes the link for the first account, where the store is new. The
// store remembers outside itself that it was made, so that losing it does not
// open this door again.
func (a *App) firstStart(g *generation) {
	if store := g.pooled.store; !store.store.Fresh() || !store.greeted.CompareAndSwap(false, true) {
		return
	}
	token, err := g.gate.SetupLink(a.ctx)
	if errors.Is(err, mfa.ErrNoLocal) {
		a.logger.Info("the store is new, and the gateway has no accounts of its own: sign in at an identity source, then make yourself the administrator with: secondgate mfa users role NAME admin")
		return
	}
	if err != nil {
		a.logger.Error("making the set-up link; make one with: secondgate mfa setup-link", zap.Error(err))
		return
	}
	link := a.linkOrigin() + linkPath + token
	if term.IsTerminal(int(os.Stderr.Fd())) {
		fmt.Fprintf(os.Stderr, "\n  Secondgate is new here. Within one hour, create the first account with this link:\n\n    %s\n\n", link)
		return
	}
	path := a.store.linkFile()
	if err := writeLink(path, link); err != nil {
		a.logger.Error("writing the set-up link to a file; make one with: secondgate mfa setup-link", zap.Error(err))
		return
	}
	a.logger.Info("the store is new: the link for the first account, good for one hour, is in a file", zap.String("file", path))
}

// writeLink writes the link to a file that only its owner can read: a log is
// read by more people than the machine.
func writeLink(path, link string) error {
	if err := os.Remove(path); err != nil && !os.IsNotExist(err) {
		return err
	}
	f, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintln(f, link)
	if closeErr := f.Close(); err == nil {
		err = closeErr
	}
	return err
}

// linkEvents are the events of a gateway that tidies up after the link for the
// first account.
//
// It embeds KeptEvents and not Events: with Keep hidden behind it, what administrators do
// would be written down a second after it was done, and lost with a crash.
type linkEvents struct {
	mfa.KeptEvents
	app *App
}

// Record writes the event. Where a link was used, it may be the one in the file.
func (l linkEvents) Record(ctx context.Context, e mfa.Event) {
	l.KeptEvents.Record(ctx, e)
	if e.Name == mfa.EventLink && e.OK {
		go l.app.dropUsedLink() // an event must not wait for a disk
	}
}

// dropUsedLink removes the file of the set-up link where that link is worth
// nothing any more.
func (a *App) dropUsedLink() {
	path := a.store.linkFile()
	raw, err := os.ReadFile(path)
	if err != nil {
		return // usually there is none
	}
	_, token, ok := strings.Cut(strings.TrimSpace(string(raw)), "#")
	if !ok {
		return
	}
	v, err := a.enter(context.Background())
	if err != nil {
		return
	}
	defer v.leave()
	if _, err := v.gate.OpenLink(context.Background(), &mfa.Place{Network: "setup-link-file"}, token); !errors.Is(err, mfa.ErrExpired) {
		return
	}
	if err := os.Remove(path); err != nil && !os.IsNotExist(err) {
		a.logger.Warn("the set-up link was used, but its file could not be removed", zap.Error(err))
	}
}

// linkOrigin is the address that links of the gateway begin with, unless whoever
// asks for one says which host it is for.
func (a *App) linkOrigin() string {
	if a.portal != "" {
		return a.portal
	}
	if list := a.sites().origins; len(list) > 0 {
		return list[0]
	}
	if list := a.consoleSites().origins; len(list) > 0 {
		return list[0] // there is no app yet
	}
	return "https://localhost"
}

// linkOrigins returns the addresses of the apps, for the links of the console. They are
// looked for once.
func (a *App) linkOrigins() func() []string {
	list := a.sites().origins
	return func() []string { return list }
}

// letterOrigin is the address that the link of a letter begins with, where a stranger
// at that place had it sent. Only a host that the configuration names is believed:
// where others get here, one may be of the stranger's choice, and the secret of the
// link would go there (AC-169).
//
// The sites are looked for once: a link is made for somebody and not for nobody, and
// what it takes must not tell (AC-116).
func (a *App) letterOrigin() func(at *mfa.Place) string {
	s, own := a.sites(), a.linkOrigin()
	return func(at *mfa.Place) string {
		if a.portal == "" && s.names(at.Host) {
			return at.Origin
		}
		return own
	}
}

// lettersName returns which origin a letter names, given the one that was asked: only
// hosts that are ours by the configuration, or none (AC-169).
func (a *App) lettersName() func(asked string) string {
	s := a.sites()
	return func(asked string) string { return s.letterNames(a, asked) }
}

var _ mfa.KeptEvents = linkEvents{}
