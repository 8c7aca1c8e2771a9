package ldap

import (
	"fmt"
	"regexp"
	"strings"

	"github.com/go-ldap/ldap/v3"
)

// What is filled into a filter.
const (
	placeName = "{name}"
	placeDN   = "{dn}"
)

// fill puts a value into a filter's places. Whatever the value is, it stays one: it can
// neither end the condition that it stands in nor match more than itself (AC-180).
func fill(template, place, value string) string {
	return strings.ReplaceAll(template, place, ldap.EscapeFilter(value))
}

// anybody is the filter with any value in its places: what it asks of an entry beyond the
// name that was typed.
func anybody(template string) string { return strings.ReplaceAll(template, placeName, "*") }

// comparison is what may stand between a bracket and a place: an attribute, the sign, and
// a part of the value. In other comparisons a star would be a letter.
var comparison = map[string]*regexp.Regexp{
	placeName: regexp.MustCompile(`^[A-Za-z][A-Za-z0-9-]*=[^()]*$`),
	placeDN:   regexp.MustCompile(`^[A-Za-z][A-Za-z0-9-]*(:[A-Za-z0-9.]+:)?=$`),
}

// wellPlaced reports whether each place of the template is within a value.
func wellPlaced(template, place string) bool {
	parts := strings.Split(template, place)
	before := ""
	for _, part := range parts[:len(parts)-1] {
		before += part
		if !comparison[place].MatchString(before[strings.LastIndexByte(before, '(')+1:]) {
			return false
		}
		before += "x"
	}
	return true
}

// checkTemplate refuses what is no filter, or one that does not look at the value.
func checkTemplate(option, template, place string) error {
	example := map[string]string{placeName: "(uid={name})", placeDN: "(member={dn})"}[place]
	switch {
	case !strings.Contains(template, place):
		return fmt.Errorf("%s: has no %s in it, so it would find the same entries for everybody; write for example: %s %s", option, place, lastWord(option), example)
	case !wellPlaced(template, place):
		return fmt.Errorf("%s: %s can stand behind = alone; write for example: %s %s", option, place, lastWord(option), example)
	}
	if _, err := ldap.CompileFilter(fill(template, place, "a")); err != nil {
		return fmt.Errorf("%s: %q is no filter (RFC 4515); write for example: %s %s", option, template, lastWord(option), example)
	}
	if place == placeName {
		if _, err := ldap.CompileFilter(anybody(template)); err != nil {
			return fmt.Errorf("%s: %s can stand behind = alone; write for example: %s %s", option, place, lastWord(option), example)
		}
	}
	return nil
}

func lastWord(option string) string { return option[strings.LastIndexByte(option, ' ')+1:] }

// both is a filter that asks for all of these.
func both(filters ...string) string { return "(&" + strings.Join(filters, "") + ")" }
