package api

import (
	"net/url"
	"slices"
	"strconv"
	"time"
)

// Parameters that several lists have.
const (
	paramCursor = "cursor"
	paramLimit  = "limit"
	// paramFor is the organization that a person administrates here; a key has its own.
	paramFor = "for"
)

// The length of a page.
const (
	usualPage = 50
	maxPage   = 200
)

// paramError names a parameter of the query that is wrong.
type paramError struct{ name string }

func (e *paramError) Error() string { return "parameter " + e.name }

// query returns the parameters: each at most once, and none that is not known here. What
// is misspelled would otherwise list everybody.
func (c *call) query(known ...string) (url.Values, error) {
	q, err := url.ParseQuery(c.r.URL.RawQuery)
	if err != nil {
		return nil, errQuery
	}
	for name, values := range q {
		switch {
		case name == paramFor && !c.byKey && len(values) == 1:
		case !slices.Contains(known, name):
			return nil, &paramError{plainName(name)}
		case len(values) > 1:
			return nil, &paramError{name}
		}
	}
	return q, nil
}

// pageOf returns what page of a list is asked for.
func pageOf(q url.Values) (cursor string, limit int, err error) {
	limit = usualPage
	if q.Has(paramLimit) {
		if limit, err = strconv.Atoi(q.Get(paramLimit)); err != nil || limit < 1 || limit > maxPage {
			return "", 0, &paramError{paramLimit}
		}
	}
	return q.Get(paramCursor), limit, nil
}

// oneOf returns a parameter that is one of a few words, or is left out.
func oneOf[T ~string](q url.Values, name string, words ...T) (T, error) {
	value := T(q.Get(name))
	if q.Has(name) && !slices.Contains(words, value) {
		return "", &paramError{name}
	}
	return value, nil
}

// flag returns a parameter that is "true" or "false", or is left out.
func flag(q url.Values, name string) (bool, error) {
	word, err := oneOf(q, name, "true", "false")
	return word == "true", err
}

// moment returns a parameter that is a time, or is left out.
func moment(q url.Values, name string) (time.Time, error) {
	if !q.Has(name) {
		return time.Time{}, nil
	}
	t, err := time.Parse(time.RFC3339, q.Get(name))
	if err != nil {
		return time.Time{}, &paramError{name}
	}
	return t, nil
}

// plainName is a name that came with a request as far as an answer may repeat it: what
// could be anything but a name is not (AC-133).
func plainName(name string) string {
	ok := len(name) > 0 && len(name) <= 40
	for i := range len(name) {
		c := name[i]
		ok = ok && (c == '_' || c >= 'a' && c <= 'z' || i > 0 && c >= '0' && c <= '9')
	}
	if !ok {
		return ""
	}
	return name
}

// number returns a parameter that is a number from 0 on, or is left out.
func number(q url.Values, name string) (uint64, error) {
	if !q.Has(name) {
		return 0, nil
	}
	n, err := strconv.ParseUint(q.Get(name), 10, 63)
	if err != nil {
		return 0, &paramError{name}
	}
	return n, nil
}
