package mfa_test

import (
	"context"
	"flag"
	"fmt"
	"maps"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/secondgate/secondgate/mfa"
)

// TestWalk walks through the whole space of policies, organizations, first factors,
// users, factors and places, and shows for each cell that it ends within eight pages at
// the app, at a page with a way forward, or at somebody to ask (behaviour.md §7), that
// nobody gets further than the rules let them, and that nobody is asked for more.
//
// The space has some 7·10¹⁰ cells. The walk takes enough of them that every three values
// of three dimensions meet in one, and all of five smaller spaces. Three people go
// through each: see person. What it has found so far stands in docs/proof.md. What each step must be says the oracle, which follows the
// sentences of behaviour.md and knows nothing of Decide.

// The dimensions. The first value of each is the ordinary one.
const (
	dimPolicy = iota
	dimOrganization
	dimSource
	dimState
	dimEnrolled
	dimCodes
	dimEnabled
	dimAvailable
	dimEnrollment
	dimRoute
	dimRemembered
	dimBypass
	dimAuto
	dimLater
	dims
)

// plan is a cell in plain words.
type plan struct {
	// The policy.
	off, optional, reportOnly, grace, autoEnroll bool
	prompt                                       mfa.Prompt
	enabled                                      mfa.Kinds
	enrollment                                   mfa.Enrollment
	// Organizations: those that the user is a member of, and whose route it is.
	organizations []mfa.Organization
	strangers     *mfa.Organization
	atAccess      bool
	routeOf       mfa.OrganizationID
	// The route.
	need        mfa.Requirement
	routeBypass bool
	// The user.
	source                                                 source
	registering, skipped, skippedOther, optedOut, disabled bool
	graceState                                             graceState
	opened                                                 opened
	enrolled                                               []mfa.Kind
	codes                                                  codesHeld
	addressOnFile                                          bool
	// Here and now.
	locked                         locked
	noSender, otherHost, plainHTTP bool
	remembered                     remembered
	passInHand, bypassInHand       bool
	later                          later
}

type (
	source     uint8 // of the first factor
	graceState uint8
	opened     uint8 // when enrollment was
	codesHeld  uint8
	locked     uint8
	remembered uint8
	later      uint8 // what happens after the app was reached
)

const (
	password source = iota
	emailCode
	invitation
	resetLink
	forgotten
	signUpByName
	signUpByEmail
	passkeyAlone
)

const (
	graceNotBegun graceState = iota
	graceBegun
	graceOver
)

const (
	notOpened opened = iota
	openedLately
	openedLongAgo
)

const (
	noCodes codesHeld = iota
	pendingCodes
	someCodes
	lastCode
	spentCodes
)

const (
	notLocked locked = iota
	lockedForAWhile
	lockedForGood
)

const (
	notRemembered remembered = iota
	rememberedWell
	rememberedNow // a moment ago
	forbidden
	tooOld
)

const (
	nothingLater later = iota
	proofsAge
	credentialRemoved
	lastReplaced
	lastAbandoned
	factorSwitchedOff
	requirementSwitchedOn
	signsInAgain
	factorsReset
	disabledLater
	joinsLater
)

const (
	onFile  mfa.Kind = "email on file" // the address that signs in, as a factor
	unknown mfa.Kind = "retina"        // of a newer version
)

const joined mfa.OrganizationID = "joined"

var everyKind = mfa.KindsOf(mfa.Passkey, mfa.TOTP, mfa.SMS, mfa.Email, mfa.BackupCode)

// value is one value of a dimension and what it makes of a plan.
type value struct {
	name string
	set  func(*plan)
}

type dimension struct {
	name   string
	values []value
}

func plain(*plan) {}

var space = [dims]dimension{
	dimPolicy: {"policy", []value{
		{"required", plain},
		{"at_registration", func(p *plan) { p.optional, p.prompt = true, mfa.PromptAtRegistration }},
		{"at_next_sign_in", func(p *plan) { p.optional, p.prompt = true, mfa.PromptAtNextSignIn }},
		{"never", func(p *plan) { p.optional, p.prompt = true, mfa.PromptNever }},
		{"grace", func(p *plan) { p.grace = true }},
		{"report_only", func(p *plan) { p.reportOnly = true }},
		{"off", func(p *plan) { p.off, p.optional = true, true }},
	}},
	dimOrganization: {"organization", []value{
		{"none", plain},
		{"requires at sign-in", func(p *plan) { p.joins(mfa.Organization{ID: "a", Require: true}) }},
		{"requires on its route", func(p *plan) {
			p.joins(mfa.Organization{ID: "a", Require: true})
			p.atAccess, p.routeOf = true, "a"
		}},
		{"requires elsewhere", func(p *plan) { p.joins(mfa.Organization{ID: "a", Require: true}); p.atAccess = true }},
		{"two, one phishing_resistant", func(p *plan) {
			p.joins(mfa.Organization{ID: "a"}, mfa.Organization{ID: "b", PhishingResistant: true})
		}},
		{"another's route", func(p *plan) { p.strangers, p.routeOf = &mfa.Organization{ID: "x"}, "x" }},
		{"factors on its route", func(p *plan) {
			p.joins(mfa.Organization{ID: "a", Factors: mfa.KindsOf(mfa.TOTP)})
			p.atAccess, p.routeOf = true, "a"
		}},
		{"asks for a pass", func(p *plan) { p.joins(mfa.Organization{ID: "a", Require: true, Enrollment: &mfa.Enrollment{}}) }},
	}},
	dimSource: {"first factor", []value{
		{"password", plain},
		{"e-mail code", func(p *plan) { p.source = emailCode }},
		{"invitation", func(p *plan) { p.source = invitation }},
		{"reset link", func(p *plan) { p.source = resetLink }},
		{"forgotten password", func(p *plan) { p.source = forgotten }},
		{"sign-up by name", func(p *plan) { p.source = signUpByName }},
		{"sign-up by e-mail", func(p *plan) { p.source = signUpByEmail }},
		{"passkey", func(p *plan) { p.source = passkeyAlone }},
	}},
	dimState: {"user", []value{
		{"known", plain},
		{"registering", func(p *plan) { p.registering = true }},
		{"skipped", func(p *plan) { p.skipped = true }},
		{"skipped another prompt", func(p *plan) { p.skippedOther = true }},
		{"opted out", func(p *plan) { p.optedOut = true }},
		{"disabled", func(p *plan) { p.disabled = true }},
		{"in grace", func(p *plan) { p.graceState = graceBegun }},
		{"grace over", func(p *plan) { p.graceState = graceOver }},
	}},
	dimEnrolled: {"enrolled", []value{
		{"nothing", plain},
		{"totp", func(p *plan) { p.holds(mfa.TOTP) }},
		{"passkey", func(p *plan) { p.holds(mfa.Passkey) }},
		{"sms", func(p *plan) { p.holds(mfa.SMS) }},
		{"another e-mail address", func(p *plan) { p.holds(mfa.Email) }},
		{"the address on file", func(p *plan) { p.holds(onFile) }},
		{"passkey and totp", func(p *plan) { p.holds(mfa.Passkey, mfa.TOTP) }},
		{"totp and the address on file", func(p *plan) { p.holds(mfa.TOTP, onFile) }},
		{"an unknown kind", func(p *plan) { p.holds(unknown) }},
	}},
	dimCodes: {"codes", []value{
		{"none", plain},
		{"pending", func(p *plan) { p.codes = pendingCodes }},
		{"some", func(p *plan) { p.codes = someCodes }},
		{"the last", func(p *plan) { p.codes = lastCode }},
		{"spent", func(p *plan) { p.codes = spentCodes }},
	}},
	dimEnabled: {"factors", []value{
		{"all", func(p *plan) { p.enabled = everyKind }},
		{"passkey totp backup_code", func(p *plan) { p.enabled = mfa.KindsOf(mfa.Passkey, mfa.TOTP, mfa.BackupCode) }},
		{"passkey", func(p *plan) { p.enabled = mfa.KindsOf(mfa.Passkey) }},
		{"totp", func(p *plan) { p.enabled = mfa.KindsOf(mfa.TOTP) }},
		{"passkey backup_code", func(p *plan) { p.enabled = mfa.KindsOf(mfa.Passkey, mfa.BackupCode) }},
		{"totp sms", func(p *plan) { p.enabled = mfa.KindsOf(mfa.TOTP, mfa.SMS) }},
		{"sms email backup_code", func(p *plan) { p.enabled = mfa.KindsOf(mfa.SMS, mfa.Email, mfa.BackupCode) }},
		{"email", func(p *plan) { p.enabled = mfa.KindsOf(mfa.Email) }},
	}},
	dimAvailable: {"available", []value{
		{"all", plain},
		{"locked for a while", func(p *plan) { p.locked = lockedForAWhile }},
		{"locked for good", func(p *plan) { p.locked = lockedForGood }},
		{"no sender", func(p *plan) { p.noSender = true }},
		{"other host", func(p *plan) { p.otherHost = true }},
		{"plain http", func(p *plan) { p.plainHTTP = true }},
	}},
	dimEnrollment: {"enrollment", []value{
		{"open", func(p *plan) { p.enrolls(mfa.Enrollment{Open: true}, notOpened, true, true) }},
		{"open 14d, begun", func(p *plan) { p.enrolls(mfa.Enrollment{Open: true, Window: windowDays}, openedLately, true, true) }},
		{"open 14d, over", func(p *plan) { p.enrolls(mfa.Enrollment{Open: true, Window: windowDays}, openedLongAgo, true, true) }},
		{"open 14d, over, no address", func(p *plan) { p.enrolls(mfa.Enrollment{Open: true, Window: windowDays}, openedLongAgo, false, true) }},
		{"confirm", func(p *plan) { p.enrolls(mfa.Enrollment{Confirm: true}, notOpened, true, true) }},
		{"confirm, no address", func(p *plan) { p.enrolls(mfa.Enrollment{Confirm: true}, notOpened, false, true) }},
		{"pass", func(p *plan) { p.enrolls(mfa.Enrollment{}, openedLately, true, true) }},
		{"pass, none in hand", func(p *plan) { p.enrolls(mfa.Enrollment{}, notOpened, true, false) }},
	}},
	dimRoute: {"route", []value{
		{"plain", plain},
		{"require", func(p *plan) { p.need.Required = true }},
		{"fresh", func(p *plan) { p.need.Fresh = freshTime }},
		{"phishing_resistant", func(p *plan) { p.need.PhishingResistant = true }},
		{"factors totp", func(p *plan) { p.need.Factors = mfa.KindsOf(mfa.TOTP) }},
		{"bypass", func(p *plan) { p.routeBypass = true }},
	}},
	dimRemembered: {"remembered device", []value{
		{"none", plain},
		{"good", func(p *plan) { p.remembered = rememberedWell }},
		{"of this moment", func(p *plan) { p.remembered = rememberedNow }},
		{"forbidden", func(p *plan) {
			p.remembered = forbidden
			if len(p.organizations) == 0 {
				p.joins(mfa.Organization{ID: "frugal"})
			}
			p.organizations[0].NoRemembering = true
		}},
		{"too old", func(p *plan) { p.remembered = tooOld }},
	}},
	dimBypass: {"bypass", []value{
		{"none", plain},
		{"in hand", func(p *plan) { p.bypassInHand = true }},
	}},
	dimAuto: {"auto_enroll", []value{
		{"off", plain},
		{"on", func(p *plan) { p.autoEnroll = true }},
	}},
	dimLater: {"later", []value{
		{"nothing", plain},
		{"the proofs age", func(p *plan) { p.later = proofsAge }},
		{"the credential is removed", func(p *plan) { p.later = credentialRemoved }},
		{"all that there is makes way for another", func(p *plan) { p.later = lastReplaced }},
		{"all that there is goes, and nothing comes", func(p *plan) { p.later = lastAbandoned }},
		{"its factor is switched off", func(p *plan) { p.later = factorSwitchedOff }},
		{"require is switched on", func(p *plan) { p.later = requirementSwitchedOn }},
		{"signs in again", func(p *plan) { p.later = signsInAgain }},
		{"an administrator resets", func(p *plan) { p.later = factorsReset }},
		{"an administrator disables", func(p *plan) { p.later = disabledLater }},
		{"joins what is phishing_resistant", func(p *plan) { p.later = joinsLater }},
	}},
}

const freshTime = 5 * time.Minute

func (p *plan) joins(list ...mfa.Organization) { p.organizations = append(p.organizations, list...) }
func (p *plan) holds(list ...mfa.Kind)         { p.enrolled = list }
func (p *plan) enrolls(e mfa.Enrollment, when opened, address, pass bool) {
	p.enrollment, p.opened, p.addressOnFile, p.passInHand = e, when, address, pass
}

func (p *plan) holdsAddressOnFile() bool { return slices.Contains(p.enrolled, onFile) }

// policy is the plan's as the gateway has it.
func (p *plan) policy() mfa.Policy {
	if p.off {
		return mfa.Policy{Off: true, Optional: true, Organizations: p.directory()}
	}
	policy := mfa.Policy{
		Factors: p.enabled, Optional: p.optional, Prompt: p.prompt, Enrollment: p.enrollment, ReportOnly: p.reportOnly,
		Organizations: p.directory(), AutoEnroll: p.autoEnroll,
	}
	if p.grace {
		policy.Grace = graceDays
	}
	if p.remembered != notRemembered {
		policy.RememberDevice = rememberDays
	}
	if p.atAccess {
		policy.OrganizationRequired = mfa.AtAccess
	}
	return policy
}

func (p *plan) directory() *mfa.Directory {
	var list []*mfa.Organization
	for i := range p.organizations {
		if p.source == signUpByEmail {
			p.organizations[i].Domains = []string{"example.com"} // nobody else could make a newcomer a member
		}
		list = append(list, &p.organizations[i])
	}
	if p.strangers != nil {
		list = append(list, p.strangers)
	}
	if p.later == joinsLater && p.enabled.Has(mfa.Passkey) && !p.off {
		list = append(list, &mfa.Organization{ID: joined, PhishingResistant: true})
	}
	return mfa.NewDirectory(list)
}

// cell is one value of each dimension; unset where none is chosen yet.
type cell [dims]int8

const unset = -1

var unsetCell = func() (c cell) {
	for d := range c {
		c[d] = unset
	}
	return c
}()

func (c cell) String() string {
	var words []string
	for d, v := range c {
		if v > 0 {
			words = append(words, space[d].name+": "+space[d].values[v].name)
		}
	}
	if len(words) == 0 {
		return "the ordinary cell"
	}
	return strings.Join(words, "; ")
}

func (c cell) plan() *plan {
	p := new(plan)
	for d, v := range c {
		space[d].values[v].set(p)
	}
	return p
}

// is reports whether the dimension has one of the values.
func (c cell) is(d int, names ...string) bool {
	return c[d] != unset && slices.Contains(names, space[d].values[c[d]].name)
}

// isNot reports whether the dimension has a value and it is none of these.
func (c cell) isNot(d int, names ...string) bool { return c[d] != unset && !c.is(d, names...) }

// impossible says why no cell has these values together, or "".
func (c cell) impossible() string {
	newcomer := c.is(dimSource, "sign-up by name", "sign-up by e-mail")
	byAddress := c.is(dimSource, "e-mail code", "forgotten password", "sign-up by e-mail")
	withoutAddress := c.is(dimEnrollment, "open 14d, over, no address", "confirm, no address")
	holdsNothing := c.is(dimEnrolled, "nothing")
	registers := newcomer || c.is(dimSource, "invitation") || c.is(dimState, "registering")
	strong := c.is(dimRoute, "phishing_resistant") || c.is(dimOrganization, "two, one phishing_resistant")
	onlyTOTP := c.is(dimRoute, "factors totp") || c.is(dimOrganization, "factors on its route")
	switch {
	case newcomer && c.isNot(dimState, "registering"),
		c.is(dimSource, "invitation") && c.isNot(dimState, "registering", "disabled"):
		return "who makes an account registers"
	case c.is(dimState, "registering") && c.is(dimSource, "e-mail code", "reset link", "forgotten password"):
		return "who proved an address, or lost a password, was here before"
	case registers && (c.is(dimSource, "passkey") || c.isNot(dimEnrolled, "nothing") || c.isNot(dimCodes, "none") || c.isNot(dimRemembered, "none") ||
		c.is(dimAvailable, "locked for a while", "locked for good", "other host")):
		return "who registers has nothing yet"
	case c.is(dimSource, "passkey") && (c.isNot(dimEnrolled, "passkey", "passkey and totp") ||
		c.is(dimAvailable, "other host", "plain http")):
		return "only a passkey of this place signs in"
	case c.is(dimState, "in grace", "grace over") && c.isNot(dimPolicy, "grace"):
		return "there is no grace under this policy"
	case holdsNothing && c.is(dimCodes, "pending"):
		return "backup codes are made after a primary factor"
	case c.isNot(dimRemembered, "none") && c.is(dimEnrolled, "nothing", "an unknown kind"):
		return "a device is remembered after a primary factor"
	case c.isNot(dimRemembered, "none") && c.is(dimPolicy, "off"):
		return "nothing is remembered where nothing is asked"
	case c.is(dimAvailable, "other host") && c.isNot(dimEnrolled, "passkey", "passkey and totp"):
		return "only passkeys belong to a host"
	case c.is(dimAvailable, "locked for a while", "locked for good") && holdsNothing && c.isNot(dimCodes, "some", "the last"):
		return "there is nothing to lock"
	case withoutAddress && byAddress, withoutAddress && c.is(dimEnrolled, "the address on file", "totp and the address on file"):
		return "there is an address on file"
	case c.is(dimSource, "sign-up by name") && c.isNot(dimOrganization, "none", "another's route"):
		return "who has no address and is known to nobody is a member of nothing"
	case newcomer && c.is(dimBypass, "in hand"):
		return "no administrator knows a newcomer"
	case c.is(dimPolicy, "off") && (c.isNot(dimRoute, "plain", "bypass") ||
		c.isNot(dimOrganization, "none", "another's route")):
		return b1
	case strong && c.isNot(dimEnabled, "all", "passkey totp backup_code", "passkey", "passkey backup_code"),
		onlyTOTP && c.isNot(dimEnabled, "all", "passkey totp backup_code", "totp", "totp sms"):
		return b1
	case strong && c.is(dimAvailable, "plain http"):
		return b1
	case c.is(dimAuto, "on") && (c.is(dimPolicy, "off") ||
		c.isNot(dimEnabled, "all", "totp sms", "sms email backup_code", "email")):
		return b1
	case c.is(dimRoute, "phishing_resistant") && c.is(dimOrganization, "factors on its route"):
		return b1
	}
	return ""
}

// unexplained is for tuples that no cell has and that impossible has no word for.
const unexplained = "no cell has them, and nobody knows why"

// b1 is what keeps a gateway from loading its configuration.
const b1 = "B1: refused when the configuration loads"

// dice is a generator of its own, so that every run walks the same cells.
type dice uint64

func (r *dice) roll(n int) int {
	*r = *r*6364136223846793005 + 1442695040888963407
	return int(uint64(*r)>>33) % n
}

// tuples numbers every so many values of as many dimensions.
type tuples struct {
	of    [][]int     // dimensions in ascending order
	first []int       // number of the first tuple of each
	with  [dims][]int // which of them have the dimension
	total int
}

func newTuples(size int) *tuples {
	t := new(tuples)
	var grow func(chosen []int, from int)
	grow = func(chosen []int, from int) {
		if len(chosen) < size {
			for d := from; d < dims; d++ {
				grow(append(slices.Clone(chosen), d), d+1)
			}
			return
		}
		n := 1
		for _, d := range chosen {
			t.with[d] = append(t.with[d], len(t.of))
			n *= len(space[d].values)
		}
		t.of, t.first = append(t.of, chosen), append(t.first, t.total)
		t.total += n
	}
	grow(nil, 0)
	return t
}

// number is that of the cell's tuple of the i-th dimensions; ok is false where one of
// them has no value.
func (t *tuples) number(c *cell, i int) (n int, ok bool) {
	for _, d := range t.of[i] {
		if c[d] == unset {
			return 0, false
		}
		n = n*len(space[d].values) + int(c[d])
	}
	return t.first[i] + n, true
}

// each goes through all tuples, as cells with so many values.
func (t *tuples) each(do func(c cell, number int)) {
	for i, chosen := range t.of {
		c := unsetCell
		for _, d := range chosen {
			c[d] = 0
		}
		for n := t.first[i]; ; n++ {
			do(c, n)
			last := len(chosen) - 1
			for ; last >= 0; last-- {
				if d := chosen[last]; int(c[d])+1 < len(space[d].values) {
					c[d]++
					break
				}
				c[chosen[last]] = 0
			}
			if last < 0 {
				break
			}
		}
	}
}

// cover returns cells in which every so many values of as many dimensions meet that can
// meet at all, how many those are, and how many cannot, by reason.
func cover(size int) (cells []cell, possible int, why map[string]int) {
	t := newTuples(size)
	met := make([]bool, t.total)
	why = map[string]int{}
	r := dice(*walkDice)
	t.each(func(c cell, n int) {
		if reason := c.impossible(); reason != "" {
			met[n] = true
			why[reason]++
			return
		}
		possible++
	})
	t.each(func(seed cell, n int) {
		if met[n] {
			return
		}
		c, ok := fill(seed, t, met, &r)
		if !ok {
			met[n] = true
			possible--
			why[unexplained]++
			return
		}
		cells = append(cells, c)
		for i := range t.of {
			n, _ := t.number(&c, i)
			met[n] = true
		}
	})
	return cells, possible, why
}

// fill completes the cell, value by value, with those that bring the most tuples that
// were not met.
func fill(c cell, t *tuples, met []bool, r *dice) (cell, bool) {
	var free []int
	for d := range c {
		if c[d] == unset {
			free = append(free, d)
		}
	}
	for i := len(free) - 1; i > 0; i-- {
		j := r.roll(i + 1)
		free[i], free[j] = free[j], free[i]
	}
	ok := extend(&c, free, t, met, r)
	return c, ok
}

// extend sets the free dimensions one after the other, and goes back where it is stuck.
func extend(c *cell, free []int, t *tuples, met []bool, r *dice) bool {
	if len(free) == 0 {
		return true
	}
	d := free[0]
	type choice struct {
		value int8
		gain  int
	}
	var choices []choice
	for v := range space[d].values {
		c[d] = int8(v)
		if c.impossible() != "" {
			continue
		}
		gain := r.roll(8)
		for _, i := range t.with[d] {
			if n, ok := t.number(c, i); ok && !met[n] {
				gain += 8
			}
		}
		choices = append(choices, choice{int8(v), gain})
	}
	slices.SortStableFunc(choices, func(a, b choice) int { return b.gain - a.gain })
	for _, ch := range choices {
		if c[d] = ch.value; extend(c, free[1:], t, met, r) {
			return true
		}
	}
	c[d] = unset
	return false
}

// all returns every possible cell in which the other dimensions have their first value.
func all(free ...int) (cells []cell, impossible int) {
	var c cell
	var next func(int)
	next = func(i int) {
		if i == len(free) {
			if c.impossible() == "" {
				cells = append(cells, c)
			} else {
				impossible++
			}
			return
		}
		for v := range space[free[i]].values {
			c[free[i]] = int8(v)
			next(i + 1)
		}
		c[free[i]] = 0
	}
	next(0)
	return cells, impossible
}

var (
	walkMeet = flag.Int("walkmeet", 3, "walk through cells in which every so many values meet")
	walkMore = flag.Int("walkmore", 0, "and through so many more, by chance")
	walkDice = flag.Uint64("walkdice", 20261123, "what chance begins with")
	walkStop = flag.Int("walkstop", 20, "stop the walk after so many cells that fail")
)

func TestWalk(t *testing.T) {
	begun := time.Now()
	cells, possible, why := cover(*walkMeet)
	covering := len(cells)
	for _, critical := range [][]int{
		{dimPolicy, dimState, dimEnrolled, dimCodes},
		{dimSource, dimEnrolled, dimEnabled, dimEnrollment},
		{dimSource, dimEnrolled, dimCodes, dimAvailable},
		{dimOrganization, dimRoute, dimRemembered, dimEnrolled},
		{dimOrganization, dimEnabled, dimEnrolled, dimBypass},
	} {
		more, none := all(critical...)
		cells = append(cells, more...)
		why["of whole cells: impossible"] += none
	}
	r := dice(*walkDice + 1)
	for range *walkMore {
		c := unsetCell
		for c[0] == unset || c.impossible() != "" {
			for d := range c {
				c[d] = int8(r.roll(len(space[d].values)))
			}
		}
		cells = append(cells, c)
	}
	seen := map[cell]bool{}
	cells = slices.DeleteFunc(cells, func(c cell) bool {
		twice := seen[c]
		seen[c] = true
		return twice
	})

	var tally tally
	var wg sync.WaitGroup
	var next, failed atomic.Int64
	for range runtime.GOMAXPROCS(0) {
		wg.Go(func() {
			for {
				i := int(next.Add(1)) - 1
				if i >= len(cells) || failed.Load() >= int64(*walkStop) {
					return
				}
				if !walkCell(t, cells[i], &tally) {
					failed.Add(1)
				}
			}
		})
	}
	wg.Wait()
	t.Logf("%d cells (in %d of them all %d combinations of %d values meet that can), %d walks, %d pages, at most %d in one walk, or %d with lists and codes, %s",
		len(cells), covering, possible, *walkMeet, tally.walks, tally.pages, tally.most, tally.mostShown, time.Since(begun).Round(100*time.Millisecond))
	for _, reason := range slices.Sorted(maps.Keys(why)) {
		t.Logf("left out: %6d  %s", why[reason], reason)
	}
	for _, end := range slices.Sorted(maps.Keys(tally.ends)) {
		t.Logf("ended:    %6d  %s", tally.ends[end], end)
	}
	if why[unexplained] > 0 {
		t.Errorf("%d combinations cannot be, and nothing says why", why[unexplained])
	}
	if failed.Load() >= int64(*walkStop) {
		t.Errorf("stopped after %d cells that failed", failed.Load())
	}
}

// tally is what the walk counts.
type tally struct {
	sync.Mutex
	walks, pages, most, mostShown int
	ends                          map[string]int
}

func (c *tally) add(who person, end string, pages, shown int) {
	c.Lock()
	defer c.Unlock()
	if c.ends == nil {
		c.ends = map[string]int{}
	}
	c.walks++
	c.pages += pages
	c.most, c.mostShown = max(c.most, pages), max(c.mostShown, shown)
	c.ends[who.String()+": "+end]++
}

func walkCell(t *testing.T, c cell, tally *tally) bool {
	ok := true
	for _, who := range []person{best, laziest, thief} {
		b, err := newBrowser(t.Context(), c.plan(), newMemory(), "ann", who, seedOf(c))
		if err == nil {
			b.tally = tally
			b.live()
			err = b.wrong
		}
		if err != nil {
			ok = false
			t.Errorf("%s, with %s:\n%v\n%s", who, c, err, b.story())
		}
	}
	return ok
}

// seedOf makes people choose differently in different cells, and always the same in one.
func seedOf(c cell) dice {
	r := dice(1)
	for _, v := range c {
		r = r*31 + dice(v) + 7
	}
	r.roll(2)
	return r
}

// The store in memory is no better and no worse than the real one: people come the
// same way through both.
func TestWalk_RealStore(t *testing.T) {
	store := newStore(t)
	cells, _, _ := cover(2)
	for i := 0; i < len(cells); i += len(cells) / 40 {
		for _, who := range []person{best, laziest, thief} {
			var stories []string
			for _, s := range []mfa.Store{newMemory(), store} {
				name := fmt.Sprintf("ann%d-%d", i, who)
				b, err := newBrowser(context.Background(), cells[i].plan(), s, name, who, seedOf(cells[i]))
				must(t, err)
				b.live()
				stories = append(stories, b.story())
			}
			if stories[0] != stories[1] {
				t.Errorf("%s, with %s: in memory\n%s\non the real store\n%s", who, cells[i], stories[0], stories[1])
			}
		}
	}
}
