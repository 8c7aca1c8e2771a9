package caddymodule

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/secondgate/secondgate/doctor"
	"github.com/secondgate/secondgate/mfa"
	"github.com/secondgate/secondgate/store"
)

// desk is where administrators' operations are carried out: in a running gateway,
// or on its store while it is down.
type desk struct {
	gate     *mfa.Gate
	admin    *mfa.Administration
	policies *mfa.Policies
	sites    sites
	// at says what stands at an address; nil: only a running gateway knows.
	at mfa.Gates
	// copied is what a backup is made of.
	copied copied
	// doctor examines the configuration; nil: only a running gateway can.
	doctor func(doctor.Proxy) *doctor.Report
	// rotation is that of the gateway's own keys; nil: the store has none.
	rotation *store.Rotation
	// told is set where no gateway runs: a rotation is then carried on here, and told is
	// called with how far it is.
	told func(*store.RotationStatus)
}

func newDesk(gate *mfa.Gate, policies *mfa.Policies, sites sites) desk {
	return desk{gate: gate, admin: gate.As(mfa.OnMachine()), policies: policies, sites: sites}
}

// on does something to the user of that name: people name each other, and the
// administration goes by IDs.
func (d desk) on(ctx context.Context, name string, do func(mfa.UserID) error) error {
	id, err := d.admin.FindID(ctx, name)
	if err != nil {
		return err
	}
	return do(id)
}

// What an administrator can have asked wrongly, besides the Gate's own answers.
var (
	errOperation = errors.New("there is no such operation")
	errFactor    = errors.New("not a factor; there are passkey, totp, sms, email and backup_code")
	errLimit     = errors.New("a list holds 1 to 1000 lines")
	errURL       = errors.New("not the address of a host; write for example https://app.example.com")
	errNoHost    = errors.New("the configuration does not name the protected host; say which one the link is for, for example: --url https://app.example.com")
	errRoutes    = errors.New("which rules hold at an address is known while the gateway runs; start it, or name its admin endpoint with --address")
	errOtherHost = errors.New("not among the protected hosts")
)

// inputError is something else that was asked in words that cannot be.
type inputError struct{ err error }

// Error says what to write instead.
func (e *inputError) Error() string { return e.err.Error() }

// Unwrap returns the cause.
func (e *inputError) Unwrap() error { return e.err }

func wrong(format string, args ...any) error { return &inputError{fmt.Errorf(format, args...)} }

const (
	usualPage = 100
	maxPage   = 1000
)

// perform carries one operation out.
func (d desk) perform(ctx context.Context, op string, in adminRequest) (*adminAnswer, error) {
	switch op {
	case opSetupLink:
		return d.makeLink(in, func() (string, error) { return d.gate.SetupLink(ctx) })
	case opInvite:
		role, err := mfa.RoleNone, error(nil)
		if in.Role != "" {
			if role, err = roleNamed(in.Role); err != nil {
				return nil, err
			}
		}
		answer, err := d.makeLink(in, func() (string, error) {
			token, _, err := d.admin.Invite(ctx, mfa.InviteInput{
				Name: in.Name, DisplayName: in.DisplayName, Email: in.Email, Phone: in.Phone, Groups: in.Groups, Role: role, AdminOf: organizationIDs(in.AdminOf),
				Organizations: organizationIDs(in.Organizations),
			})
			return token, err
		})
		return d.mindDisabled(ctx, in.Name, "the link", answer, inviteError(in, err))
	case opResetPassword:
		answer, err := d.makeLink(in, func() (token string, err error) {
			err = d.on(ctx, in.Name, func(id mfa.UserID) error {
				token, err = d.admin.ResetPassword(ctx, id)
				return err
			})
			return token, err
		})
		return d.mindDisabled(ctx, in.Name, "the link", answer, err)
	case opEnrollmentPass, opBypass:
		return d.makePass(ctx, op, in)
	case opList:
		return d.list(ctx, in)
	case opShow:
		return d.show(ctx, in.Name, "", nil)
	case opRemoveFactors:
		if in.Credential != "" {
			return d.removeFactor(ctx, in)
		}
		return d.removeFactors(ctx, in)
	case opUnlock:
		return d.show(ctx, in.Name, "Failed attempts are forgotten: %s can try again at once.", d.on(ctx, in.Name, func(id mfa.UserID) error { return d.admin.Unlock(ctx, id) }))
	case opResetSkip:
		return d.show(ctx, in.Name, "%s is asked again to set up what they skipped.", d.on(ctx, in.Name, func(id mfa.UserID) error { return d.admin.ResetSkip(ctx, id) }))
	case opRole:
		return d.setRole(ctx, in)
	case opSessions:
		return d.sessions(ctx, in.Name)
	case opEndSessions:
		return d.endSessions(ctx, in)
	case opDisable:
		return d.show(ctx, in.Name, "%s is shut out, and every session of theirs has ended.", d.on(ctx, in.Name, func(id mfa.UserID) error { return d.admin.SetDisabled(ctx, id, true) }))
	case opEnable:
		return d.show(ctx, in.Name, "%s may sign in again.", d.on(ctx, in.Name, func(id mfa.UserID) error { return d.admin.SetDisabled(ctx, id, false) }))
	case opOrgList, opOrgShow, opOrgSet, opOrgRemove, opOrgAdd, opOrgDrop:
		return d.organizations(ctx, op, in)
	case opPolicyShow, opPolicySet, opPolicyClear, opPolicyTest:
		return d.policy(ctx, op, in)
	case opCampaignList, opCampaignStart, opCampaignEnd:
		return d.campaigns(ctx, op, in)
	case opCoverage, opForecast:
		return d.numbers(ctx, op, in)
	case opKeyList, opKeyCreate, opKeyRevoke:
		return d.keys(ctx, op, in)
	case opKeyRotate, opKeyStatus:
		return d.rotate(ctx, op, in)
	case opAuditExport:
		return d.export(ctx, in)
	case opAuditVerify:
		return d.verify(ctx, in)
	case opAccess:
		return d.access(ctx, in)
	case opAudit:
		return d.audit(ctx, in)
	case opImport:
		return d.importPeople(ctx, in.Import)
	case opDoctor, opProbe, opProbed:
		return d.diagnose(op, in)
	case opExplain:
		return d.explain(ctx, in.Decision)
	}
	return nil, fmt.Errorf("%q: %w", op, errOperation)
}

// pageOf returns how long a page is to be.
func pageOf(limit int) (int, error) {
	switch {
	case limit < 0 || limit > maxPage:
		return 0, fmt.Errorf("limit %d: %w", limit, errLimit)
	case limit == 0:
		return usualPage, nil
	}
	return limit, nil
}

// show returns the user as they are after the operation that err is of. done says
// what was done, with a place for the name.
func (d desk) show(ctx context.Context, name, done string, err error) (*adminAnswer, error) {
	if err != nil {
		return nil, err
	}
	u, err := d.admin.Find(ctx, name)
	if err != nil {
		return nil, err
	}
	if done != "" {
		done = fmt.Sprintf(done, u.Name)
	}
	return &adminAnswer{User: u, Done: done}, nil
}

func (d desk) removeFactors(ctx context.Context, in adminRequest) (*adminAnswer, error) {
	kind := mfa.Kind(in.Factor)
	if in.Factor != "" && !factorsHere.Has(kind) {
		return nil, fmt.Errorf("%q: %w", in.Factor, errFactor)
	}
	u, err := d.admin.Find(ctx, in.Name)
	if err != nil {
		return nil, err
	}
	held := func(k mfa.Kind) bool {
		return slices.ContainsFunc(u.Factors, func(f mfa.FactorInfo) bool { return k == "" || f.Kind == k })
	}
	done := "The second factors of %s are removed, and every session of theirs has ended."
	switch {
	case kind != "" && !held(kind):
		return &adminAnswer{User: u, Done: fmt.Sprintf("%s has no %s: nothing was changed.", u.Name, kind)}, nil
	case kind != "":
		done = "The " + string(kind) + " of %s is removed, and every session of theirs has ended."
	case !held(""):
		done = "%s had no second factor. Every session of theirs has ended."
	}
	answer, err := d.show(ctx, in.Name, done, d.admin.RemoveFactors(ctx, u.ID, kind))
	if err == nil && len(answer.User.Factors) == 0 {
		answer.Note = d.wayBack(answer.User)
	}
	return answer, err
}

// wayBack says how somebody without a factor sets one up, where the password alone does
// not lead there (rule B17).
func (d desk) wayBack(u *mfa.UserInfo) string {
	p := d.policies.Current()
	if p == nil || p.Off || u.Enrollment.Open {
		return ""
	}
	if u.Enrollment.Confirm && d.policies.CanConfirm() && (u.Email != "" || u.Phone != "") {
		return fmt.Sprintf("Under this policy %s sets a new one up after a code to the address on file. Where that is lost as well, make a pass: secondgate mfa users enrollment-pass %s", u.Name, u.Name)
	}
	return fmt.Sprintf("Under this policy a password alone sets no new factor up. Make the pass that lets %s do it: secondgate mfa users enrollment-pass %s", u.Name, u.Name)
}

// makePass makes a secret that opens a first set-up, or stands for a second factor once.
func (d desk) makePass(ctx context.Context, op string, in adminRequest) (*adminAnswer, error) {
	life := mfa.PassLife
	if in.For != "" {
		var err error
		if life, err = mfa.ParseDuration(in.For); err != nil || life < time.Minute || life > mfa.MaxPassLife {
			return nil, wrong("%q is no time from one minute to 7 days; write for example: --for 24h", in.For)
		}
	}
	u, err := d.admin.Find(ctx, in.Name)
	if err != nil {
		return nil, err
	}
	answer := new(adminAnswer)
	if op == opBypass {
		why, err := reasonGiven(in.Why)
		if err != nil {
			return nil, err
		}
		if answer.Secret, answer.Expires, err = d.admin.Bypass(ctx, u.ID, life, why); err != nil {
			return nil, err
		}
		if len(u.Factors) == 0 {
			answer.Note = fmt.Sprintf("%s has no second factor, so there is nothing that it could stand for. What lets them set one up: secondgate mfa users enrollment-pass %s", u.Name, u.Name)
		}
	} else {
		if answer.Secret, answer.Expires, err = d.admin.EnrollmentPass(ctx, u.ID, life); err != nil {
			return nil, err
		}
		if len(u.Factors) > 0 {
			answer.Note = fmt.Sprintf("%s has a second factor, and the pass does nothing as long as they have. Where it is lost: secondgate mfa users remove-factors %s", u.Name, u.Name)
		}
	}
	return d.mindDisabled(ctx, in.Name, "it", answer, nil)
}

// reasonGiven returns why somebody is let by, as the record keeps it.
func reasonGiven(why string) (string, error) {
	why = strings.TrimSpace(why)
	switch {
	case why == "":
		return "", wrong("say why, for the record: --why \"lost the phone; called back at the number on file\"")
	case len(why) > 200 || !utf8.ValidString(why) || strings.ContainsFunc(why, unicode.IsControl):
		return "", wrong("the reason is a line of 200 bytes at most")
	}
	return why, nil
}

// makeLink finds out which host the link is for before it makes one.
func (d desk) makeLink(in adminRequest, token func() (string, error)) (*adminAnswer, error) {
	origin := strings.TrimSuffix(in.URL, "/")
	origins := d.sites.origins
	switch {
	case origin != "":
		u, err := url.Parse(origin)
		if err != nil || u.Scheme != "https" && u.Scheme != "http" || u.Host == "" || u.Scheme+"://"+u.Host != origin {
			return nil, fmt.Errorf("%q: %w", in.URL, errURL)
		}
		if !in.AnyHost && !d.sites.has(u.Host) {
			// Whoever owns a name that was mistyped would be handed the account.
			return nil, fmt.Errorf("%s: %w, which are %s; where it is right all the same, add --any-host", u.Host, errOtherHost, strings.Join(d.sites.hosts, ", "))
		}
	case len(origins) > 0:
		origin = origins[0]
	default:
		return nil, errNoHost
	}
	t, err := token()
	if err != nil {
		return nil, err
	}
	others := slices.DeleteFunc(slices.Clone(origins), func(o string) bool { return o == origin })
	return &adminAnswer{Link: origin + linkPath + t, Hosts: others}, nil
}

// mindDisabled adds to a link or a pass that it does not work yet where its user is
// disabled.
func (d desk) mindDisabled(ctx context.Context, name, what string, answer *adminAnswer, err error) (*adminAnswer, error) {
	if err != nil {
		return nil, err
	}
	if u, err := d.admin.Find(ctx, name); err == nil && u.Disabled {
		answer.Note = fmt.Sprintf("%s is disabled, so %s does not work yet. To let them in: secondgate mfa users enable %s", u.Name, what, u.Name)
	}
	return answer, nil
}

// inviteError says which part of an invitation cannot be, and what can.
func inviteError(in adminRequest, err error) error {
	switch {
	case errors.Is(err, mfa.ErrNameTaken):
		return fmt.Errorf("%s has an account already (%w); for a new password: secondgate mfa users reset-password %s", in.Name, err, in.Name)
	case errors.Is(err, mfa.ErrLimit):
		return fmt.Errorf("nobody is a member of more than %d organizations by hand (%w)", mfa.MaxOrganizations, err)
	case errors.Is(err, mfa.ErrCountry):
		return fmt.Errorf("%q is no mobile number of a country that text messages may go to (%w); the configuration names those: sms { countries DE AT }", in.Phone, err)
	case !errors.Is(err, mfa.ErrName):
		return err
	}
	what, _, _ := strings.Cut(err.Error(), ":")
	switch what {
	case "display name":
		return fmt.Errorf("%q cannot be a display name: it has no comma, semicolon or bar, no control character, and at most 256 bytes (%w)", in.DisplayName, err)
	case "e-mail address":
		return fmt.Errorf("%q is not an e-mail address (%w)", in.Email, err)
	case "phone number":
		return fmt.Errorf("%q is not a mobile number; write it with its country, for example +4915112345678 (%w)", in.Phone, err)
	case "group":
		return fmt.Errorf("a group has a name without comma, semicolon or bar; say --group once for each (%w)", err)
	}
	return fmt.Errorf("%q: %w: use 1 to 64 of a-z, 0-9, dot, dash and underscore, with a letter or digit first", in.Name, err)
}

// statusOf is how the admin endpoint answers an error of an operation.
func statusOf(err error) int {
	var input *inputError
	var organization *mfa.OrganizationError
	var policy *mfa.PolicyError
	var lockout *mfa.LockoutError
	var campaign *mfa.CampaignError
	switch {
	case errors.Is(err, mfa.ErrNotFound), errors.Is(err, errOperation):
		return http.StatusNotFound
	case errors.Is(err, mfa.ErrNameTaken), errors.Is(err, mfa.ErrLastAdministrator), errors.Is(err, mfa.ErrBackup), errors.As(err, &lockout):
		return http.StatusConflict
	case errors.Is(err, mfa.ErrName), errors.Is(err, mfa.ErrNotAllowed), errors.Is(err, errFactor), errors.Is(err, errLimit),
		errors.Is(err, errURL), errors.Is(err, errNoHost), errors.Is(err, errOtherHost), errors.Is(err, errRoutes), errors.Is(err, mfa.ErrLimit), errors.Is(err, mfa.ErrRole), errors.Is(err, mfa.ErrSelf),
		errors.Is(err, mfa.ErrCountry), errors.Is(err, mfa.ErrCursor),
		errors.As(err, &input), errors.As(err, &organization), errors.As(err, &policy), errors.As(err, &campaign):
		return http.StatusBadRequest
	case errors.Is(err, mfa.ErrBusy), errors.Is(err, doctor.ErrProbes), errors.Is(err, errNoDoctor), errors.Is(err, errNoRotation):
		return http.StatusServiceUnavailable
	}
	return http.StatusInternalServerError
}
