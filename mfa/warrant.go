package mfa

import (
	"context"
	"errors"
	"fmt"
	"strings"
)

// warrant is what a link or a pass keeps of who made it: powers, organization, user and
// key. It is asked again when the secret is used. An organization's administrator could
// otherwise keep one that they made for a member until the member is an administrator,
// and become that; and whoever was made to leave could come back with one (AC-224).
func (a *Administration) warrant() Secret {
	return Secret(strings.Join([]string{a.actor.Powers.String(), string(a.actor.Organization), string(a.actor.User), a.actor.key}, "\n"))
}

// warranted returns the administration as whoever made the secret may use it now.
// ErrNotAllowed where they may do nothing any more.
func (g *Gate) warranted(ctx context.Context, kept Secret) (*Administration, error) {
	parts := strings.Split(string([]byte(kept)), "\n")
	if len(parts) != 4 {
		return nil, ErrNotAllowed
	}
	powers, err := ParsePowers(strings.Fields(parts[0]))
	if err != nil {
		return nil, ErrNotAllowed
	}
	maker := Actor{Powers: powers, Organization: OrganizationID(parts[1]), User: UserID(parts[2]), key: parts[3]}
	if maker.User != "" {
		u, err := g.cfg.Store.User(ctx, maker.User)
		if err != nil {
			return nil, goneOr(err, "reading who made a link or a pass")
		}
		maker.Powers &= u.PowersOver(maker.Organization)
	}
	if maker.key != "" {
		// A key that is revoked is one that somebody else may have had.
		if _, err := g.cfg.Store.APIKey(ctx, maker.key); err != nil {
			return nil, goneOr(err, "reading the key that made a link or a pass")
		}
	}
	return g.As(maker), nil
}

// goneOr is ErrNotAllowed for what is not there, and a fault for the rest.
func goneOr(err error, what string) error {
	if errors.Is(err, ErrNotFound) {
		return ErrNotAllowed
	}
	return fmt.Errorf("%s: %w", what, err)
}

// isDenied reports whether the error says that somebody may not, or reaches nobody.
func isDenied(err error) bool {
	return errors.Is(err, ErrNotAllowed) || errors.Is(err, ErrNotFound) || errors.Is(err, ErrRole)
}
