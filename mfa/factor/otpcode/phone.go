package otpcode

import (
	"slices"
	"strconv"
	"strings"

	"github.com/nyaruka/phonenumbers"

	"github.com/secondgate/secondgate/mfa"
)

// maxNumber bounds what is parsed, in bytes: fifteen digits, and what people put
// between them.
const maxNumber = 32

// separators are what may stand between digits: what people type, and what phone
// books put between and around the numbers that are copied from them.
const separators = " -./()\u00a0\u202f\u2010\u2011\u2012\u2013\u200e\u202a\u202c"

// phones knows the numbers to which text messages go. The zero value knows none.
type phones struct {
	countries []string
	codes     []string // their calling codes: "49"
	// home is the country as whose numbers those without a calling code are read;
	// unknown where there could be several.
	home string
}

// unknown is no country, to the library.
const unknown = phonenumbers.UNKNOWN_REGION

func newPhones(countries []string) phones {
	p := phones{countries: countries, home: unknown}
	for _, c := range countries {
		code := strconv.Itoa(phonenumbers.GetCountryCodeForRegion(c))
		if !slices.Contains(p.codes, code) {
			p.codes = append(p.codes, code)
		}
	}
	switch {
	case len(countries) == 1:
		p.home = countries[0]
	case len(p.codes) == 1: // one plan for several countries, as for the US and Canada
		p.home = phonenumbers.GetRegionCodeForCountryCode(phonenumbers.GetCountryCodeForRegion(countries[0]))
	}
	return p
}

// address returns the number as E.164 writes it. mfa.ErrName where it is none, or one
// without a calling code that several countries could have.
//
// Whose number it is says the number, not its calling code: the islands of +1 and
// +44, where messages cost many times as much, are countries of their own. Numbers
// that cost the caller, or somebody, are what the person who asks for a thousand
// codes is paid by (AC-171).
func (p phones) address(entered string) (string, error) {
	number, ok := dialled(entered)
	if !ok {
		return "", mfa.ErrName
	}
	if len(p.countries) == 0 {
		return "", mfa.ErrCountry
	}
	if p.home == unknown && strings.HasPrefix(number, "00") {
		number = "+" + number[2:]
	}
	// Of other countries' numbers the library learns nothing: it keeps the patterns
	// of each one that it meets.
	if rest, ok := strings.CutPrefix(number, "+"); ok && !p.calls(rest) {
		return "", mfa.ErrCountry
	}
	n, err := phonenumbers.Parse(number, p.home)
	if err != nil {
		return "", mfa.ErrName
	}
	if phonenumbers.IsPossibleNumberWithReason(n) != phonenumbers.IS_POSSIBLE || !phonenumbers.IsValidNumber(n) {
		return "", mfa.ErrName
	}
	if !slices.Contains(p.countries, phonenumbers.GetRegionCodeForNumber(n)) {
		return "", mfa.ErrCountry
	}
	switch phonenumbers.GetNumberType(n) {
	case phonenumbers.MOBILE, phonenumbers.FIXED_LINE_OR_MOBILE:
		return phonenumbers.Format(n, phonenumbers.E164), nil
	}
	return "", mfa.ErrCountry
}

// calls reports whether a number begins with the calling code of a country. No
// calling code is the beginning of another one.
func (p phones) calls(number string) bool {
	return slices.ContainsFunc(p.codes, func(code string) bool { return strings.HasPrefix(number, code) })
}

// dialled returns the digits of a number, after a plus where it has one. The library
// would read far more: letters as the digits of a keypad, extensions, URIs, digits of
// other scripts. It sees none of that.
func dialled(entered string) (string, bool) {
	if len(entered) > maxNumber {
		return "", false
	}
	number := make([]byte, 0, maxNumber)
	for _, r := range strings.TrimSpace(entered) {
		switch {
		case r >= '0' && r <= '9', r == '+' && len(number) == 0:
			number = append(number, byte(r))
		case strings.ContainsRune(separators, r):
		default:
			return "", false
		}
	}
	return string(number), strings.Trim(string(number), "+") != ""
}

// displayNumber returns a number as E.164 writes it in its country's groups.
func displayNumber(address string) string {
	if number, ok := dialled(address); !ok || number != address {
		return address
	}
	n, err := phonenumbers.Parse(address, unknown)
	if err != nil {
		return address
	}
	return strings.Map(func(r rune) rune {
		if r >= '0' && r <= '9' || r == '+' {
			return r
		}
		return ' '
	}, phonenumbers.Format(n, phonenumbers.INTERNATIONAL))
}
