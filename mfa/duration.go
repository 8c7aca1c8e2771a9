package mfa

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"
)

// ParseDuration reads a duration as the configuration writes it: what time.ParseDuration
// reads, with days before the rest ("14d", "1d12h"). A negative one is an error: there is
// no place for it.
func ParseDuration(s string) (time.Duration, error) {
	bad := fmt.Errorf("%q is no duration; write for example 14d, 12h or 1d12h", strings.ToValidUTF8(s, "?"))
	if len(s) > 64 {
		return 0, bad
	}
	var sum time.Duration
	rest := s
	if days, after, found := strings.Cut(s, "d"); found {
		n, err := strconv.ParseFloat(days, 64)
		// Behind this many days, or with words such as "inf", a Duration has no number.
		if err != nil || math.IsNaN(n) || n < 0 || n > 36500 {
			return 0, bad
		}
		sum, rest = time.Duration(n*24*float64(time.Hour)), after
		if rest == "" {
			return sum, nil
		}
	}
	d, err := time.ParseDuration(rest)
	if err != nil || d < 0 || sum+d < sum {
		return 0, bad
	}
	return sum + d, nil
}

// DurationWords writes a duration as the configuration does. ParseDuration reads it.
func DurationWords(d time.Duration) string {
	const day = 24 * time.Hour
	if d == 0 {
		return "0"
	}
	if d%day == 0 {
		return fmt.Sprintf("%dd", d/day)
	}
	s := d.String()
	if strings.HasSuffix(s, "m0s") {
		s = strings.TrimSuffix(s, "0s")
	}
	if strings.HasSuffix(s, "h0m") {
		s = strings.TrimSuffix(s, "0m")
	}
	return s
}

// ParseEnrollment reads the words behind "enrollment".
func ParseEnrollment(words []string) (Enrollment, error) {
	switch {
	case len(words) == 1 && words[0] == "pass":
		return Enrollment{}, nil
	case len(words) == 1 && words[0] == "confirm":
		return Enrollment{Confirm: true}, nil
	case len(words) == 1 && words[0] == "open":
		return Enrollment{Open: true}, nil
	case len(words) == 2 && words[0] == "open":
		window, err := ParseDuration(words[1])
		if err != nil || window <= 0 {
			return Enrollment{}, fmt.Errorf("enrollment: %q is no duration above zero; write for example: enrollment open 14d", words[1])
		}
		return Enrollment{Open: true, Window: window}, nil
	}
	return Enrollment{}, fmt.Errorf("enrollment: write one of: enrollment open · enrollment open 14d · enrollment confirm · enrollment pass")
}

// String writes it as the configuration does.
func (e Enrollment) String() string {
	switch {
	case e.Open && e.Window > 0:
		return "open " + DurationWords(e.Window)
	case e.Open:
		return "open"
	case e.Confirm:
		return "confirm"
	}
	return "pass"
}
