package api

import (
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/secondgate/secondgate/mfa"
)

type (
	invitation struct {
		Name          string               `json:"name"`
		DisplayName   string               `json:"display_name,omitempty"`
		Email         string               `json:"email,omitempty"`
		Phone         string               `json:"phone,omitempty"`
		Groups        []string             `json:"groups,omitempty"`
		Organizations []mfa.OrganizationID `json:"organizations,omitempty"`
		Role          string               `json:"role,omitempty"`
		AdminOf       []mfa.OrganizationID `json:"admin_of,omitempty"`
		Origin        string               `json:"origin,omitempty"`
	}
	invitedDocument struct {
		User    personDocument `json:"user"`
		Link    string         `json:"link"`
		Expires time.Time      `json:"expires"`
	}
	linkDocument struct {
		Link    string    `json:"link"`
		Expires time.Time `json:"expires"`
	}
	secretDocument struct {
		Secret  string    `json:"secret"`
		Expires time.Time `json:"expires"`
	}
)

// linkPath is where links lead to. The token stands in the fragment, which browsers send
// to nobody.
const linkPath = "/.mfa/link#"

func inviteUser(c *call) (any, error) {
	in, err := readOnly[invitation](c)
	if err != nil {
		return nil, err
	}
	role, err := parseRole(in.Role, in.Role == "")
	if err != nil {
		return nil, err
	}
	origin, err := c.linkOrigin(in.Origin)
	if err != nil {
		return nil, err
	}
	expires := c.api.now().Add(mfa.InvitationLife)
	token, u, err := c.admin.Invite(c.r.Context(), mfa.InviteInput{
		Name: in.Name, DisplayName: in.DisplayName, Email: in.Email, Phone: in.Phone, Groups: in.Groups,
		Role: role, AdminOf: in.AdminOf, Organizations: in.Organizations,
	})
	if err != nil {
		return nil, c.adminError(err)
	}
	return created{invitedDocument{personOf(u), origin + linkPath + token, *stamp(expires)}}, nil
}

// linkOrigin returns the host that a link leads to: one that the gateway protects, or
// whoever owns a mistyped name would be handed the account (AC-169).
func (c *call) linkOrigin(asked string) (string, error) {
	var origins []string
	if c.api.origins != nil {
		origins = c.api.origins()
	}
	switch {
	case asked == "" && len(origins) > 0:
		return origins[0], nil
	case asked == "", asked == c.at.Origin:
		return c.at.Origin, nil // a console has the pages as well
	case !slices.Contains(origins, asked):
		return "", &fieldError{"origin", "body"}
	}
	return asked, nil
}

func parseRole(word string, none bool) (mfa.Role, error) {
	switch {
	case word == roleNone, none:
		return mfa.RoleNone, nil
	case word == string(mfa.RoleAdmin), word == string(mfa.RoleAuditor):
		return mfa.Role(word), nil
	}
	return "", &fieldError{"role", "body"}
}

// done answers with the user as they are after a change.
func (c *call) done(err error) (any, error) {
	if err != nil {
		return nil, c.adminError(err)
	}
	return c.show(c.person())
}

// nothingSaid reads a request that says nothing but what its address says.
func (c *call) nothingSaid() error {
	_, err := readOnly[nothing](c)
	return err
}

// readOnly is read of a request that has no query.
func readOnly[T any](c *call) (T, error) {
	if _, err := c.query(); err != nil {
		var none T
		return none, err
	}
	return read[T](c)
}

func unlockUser(c *call) (any, error) {
	if err := c.nothingSaid(); err != nil {
		return nil, err
	}
	return c.done(c.admin.Unlock(c.r.Context(), c.person()))
}

func resetSkip(c *call) (any, error) {
	if err := c.nothingSaid(); err != nil {
		return nil, err
	}
	return c.done(c.admin.ResetSkip(c.r.Context(), c.person()))
}

func disableUser(c *call) (any, error) { return c.setDisabled(true) }

func enableUser(c *call) (any, error) { return c.setDisabled(false) }

func (c *call) setDisabled(disabled bool) (any, error) {
	if err := c.nothingSaid(); err != nil {
		return nil, err
	}
	return c.done(c.admin.SetDisabled(c.r.Context(), c.person(), disabled))
}

type roleChange struct {
	Role    string               `json:"role"`
	AdminOf []mfa.OrganizationID `json:"admin_of,omitempty"`
}

func setRole(c *call) (any, error) {
	in, err := readOnly[roleChange](c)
	if err != nil {
		return nil, err
	}
	role, err := parseRole(in.Role, false)
	if err != nil {
		return nil, err
	}
	return c.done(c.admin.SetRole(c.r.Context(), c.person(), role, in.AdminOf))
}

func removeFactors(c *call) (any, error) {
	q, err := c.query("factor")
	if err != nil {
		return nil, err
	}
	kind, err := oneOf(q, "factor", mfa.Passkey, mfa.TOTP, mfa.SMS, mfa.Email, mfa.BackupCode)
	if err != nil {
		return nil, err
	}
	return c.done(c.admin.RemoveFactors(c.r.Context(), c.person(), kind))
}

func removeFactor(c *call) (any, error) {
	if _, err := c.query(); err != nil {
		return nil, err
	}
	return c.done(c.admin.RemoveFactor(c.r.Context(), c.person(), mfa.CredentialID(c.name("id"))))
}

func endSessions(c *call) (any, error) {
	if _, err := c.query(); err != nil {
		return nil, err
	}
	return nil, c.adminError(c.admin.EndSessions(c.r.Context(), c.person(), ""))
}

func endSession(c *call) (any, error) {
	if _, err := c.query(); err != nil {
		return nil, err
	}
	return nil, c.adminError(c.admin.EndSessions(c.r.Context(), c.person(), c.name("id")))
}

type (
	passRequest struct {
		ExpiresIn int `json:"expires_in,omitempty"`
	}
	bypassRequest struct {
		Why       string `json:"why"`
		ExpiresIn int    `json:"expires_in,omitempty"`
	}
)

// lifeOf reads how many seconds something is to be good for; 0: as usual.
func lifeOf(seconds int, least, most time.Duration) (time.Duration, error) {
	if seconds == 0 {
		return 0, nil
	}
	if seconds < int(least/time.Second) || seconds > int(most/time.Second) {
		return 0, &fieldError{"expires_in", "body"}
	}
	return time.Duration(seconds) * time.Second, nil
}

func makeEnrollmentPass(c *call) (any, error) {
	in, err := readOnly[passRequest](c)
	if err != nil {
		return nil, err
	}
	life, err := lifeOf(in.ExpiresIn, time.Minute, mfa.MaxPassLife)
	if err != nil {
		return nil, err
	}
	pass, expires, err := c.admin.EnrollmentPass(c.r.Context(), c.person(), life)
	if err != nil {
		return nil, c.adminError(err)
	}
	return created{secretDocument{pass, *stamp(expires)}}, nil
}

// maxWhy is the length of a reason for the record.
const maxWhy = 200

func makeBypass(c *call) (any, error) {
	in, err := readOnly[bypassRequest](c)
	if err != nil {
		return nil, err
	}
	why := strings.TrimSpace(in.Why)
	if why == "" || len(why) > maxWhy || !utf8.ValidString(why) || strings.ContainsFunc(why, unicode.IsControl) {
		return nil, &fieldError{"why", "body"} // it becomes one line of the record
	}
	life, err := lifeOf(in.ExpiresIn, time.Minute, mfa.MaxPassLife)
	if err != nil {
		return nil, err
	}
	code, expires, err := c.admin.Bypass(c.r.Context(), c.person(), life, why)
	if err != nil {
		return nil, c.adminError(err)
	}
	return created{secretDocument{code, *stamp(expires)}}, nil
}

type linkRequest struct {
	Origin string `json:"origin,omitempty"`
}

func makePasswordLink(c *call) (any, error) {
	in, err := readOnly[linkRequest](c)
	if err != nil {
		return nil, err
	}
	origin, err := c.linkOrigin(in.Origin)
	if err != nil {
		return nil, err
	}
	expires := c.api.now().Add(mfa.InvitationLife)
	token, err := c.admin.ResetPassword(c.r.Context(), c.person())
	if err != nil {
		return nil, c.adminError(err)
	}
	return created{linkDocument{origin + linkPath + token, *stamp(expires)}}, nil
}
