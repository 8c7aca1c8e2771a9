package local

import (
	_ "embed"
	"strings"
	"sync"
	"unicode"
	"unicode/utf8"
)

//go:embed common.txt
var commonText string

// commonWords holds the base words. Each stands for all that common finds
// around it.
var commonWords = sync.OnceValue(func() map[string]bool {
	words := map[string]bool{}
	for _, line := range strings.Split(commonText, "\n") {
		if strings.HasPrefix(line, "#") {
			continue
		}
		for _, word := range strings.Fields(line) {
			words[word] = true
		}
	}
	return words
})

// maxWord is longer than any base word. Nothing longer than two is looked up.
const maxWord = 32

// maxDecoration is how many digits and signs around a base word are what people
// add to make a word count; more than that is a password of its own.
const maxDecoration = 8

// leet undoes the letter swaps that every guessing program knows. Two of them
// are ambiguous, so there are two.
var leet = [...]*strings.Replacer{
	strings.NewReplacer("0", "o", "1", "l", "3", "e", "4", "a", "5", "s", "7", "t", "8", "b", "9", "g", "@", "a", "$", "s", "!", "l", "|", "l", "(", "c", "+", "t"),
	strings.NewReplacer("0", "o", "1", "i", "3", "e", "4", "a", "5", "s", "7", "t", "8", "b", "9", "g", "@", "a", "$", "s", "!", "i", "|", "i", "(", "c", "+", "t"),
}

// common reports whether a lower-case password is a base word or two of them,
// with digits and signs around and letters swapped; one short thing repeated; or
// a walk over the keyboard.
func common(folded string) bool {
	if walk(folded) || repeated(folded) {
		return true
	}
	cores := []string{undecorated(folded)}
	// A sign at the end is a sign, a digit there may be a letter: "h0m3!".
	unsigned := strings.TrimFunc(folded, func(r rune) bool { return !unicode.IsLetter(r) && !unicode.IsDigit(r) })
	for _, r := range leet {
		cores = append(cores, r.Replace(cores[0]), undecorated(r.Replace(folded)), undecorated(r.Replace(unsigned)))
	}
	for _, core := range cores {
		if isWordOrTwo(core) {
			return true
		}
	}
	return false
}

// undecorated returns the word inside: without digits and signs around it, as
// far as they are decoration, and without the spaces and dashes in it.
func undecorated(s string) string {
	notLetter := func(r rune) bool { return !unicode.IsLetter(r) }
	core := strings.TrimLeftFunc(s, notLetter)
	lead := s[:len(s)-len(core)]
	core = strings.TrimRightFunc(core, notLetter)
	tail := s[len(lead)+len(core):]
	for _, part := range []string{lead, tail} {
		if utf8.RuneCountInString(part) > maxDecoration && !walk(part) && !repeated(part) {
			return s
		}
	}
	return strings.NewReplacer(" ", "", "-", "", "_", "", ".", "").Replace(core)
}

func isWordOrTwo(core string) bool {
	if len(core) > 2*maxWord {
		return false
	}
	words := commonWords()
	if words[core] {
		return true
	}
	for i := 1; i < len(core); i++ {
		if words[core[:i]] && words[core[i:]] {
			return true
		}
	}
	return false
}

// repeated reports whether s is one thing again and again: of up to four
// characters, or a base word with what is around it.
func repeated(s string) bool {
	for n := 1; n <= len(s)/2; n++ {
		if len(s)%n != 0 && n > 4 {
			continue
		}
		unit := s[:n]
		if strings.Repeat(unit, len(s)/n+1)[:len(s)] != s {
			continue
		}
		if utf8.RuneCountInString(unit) <= 4 || isWordOrTwo(undecorated(unit)) {
			return true
		}
	}
	return false
}

// keyRows are what fingers walk along, in both directions.
var keyRows = func() []string {
	rows := []string{
		"01234567890", "`1234567890-=", "abcdefghijklmnopqrstuvwxyz",
		"qwertyuiop[]\\", "asdfghjkl;'", "zxcvbnm,./",
		"qwertzuiopü+", "asdfghjklöä#", "yxcvbnm,.-", "azertyuiop", "qsdfghjklm", "wxcvbn",
		"1qaz", "2wsx", "3edc", "4rfv", "5tgb", "6yhn", "7ujm", "8ik,", "9ol.", "0p;/",
		"!@#$%^&*()_+", "!\"§$%&/()=", "147", "258", "369",
	}
	for _, row := range rows {
		rows = append(rows, reversed(row))
	}
	return rows
}()

func reversed(s string) string {
	r := []rune(s)
	for i, j := 0, len(r)-1; i < j; i, j = i+1, j-1 {
		r[i], r[j] = r[j], r[i]
	}
	return string(r)
}

// walk reports whether s is made of few runs along rows of keys, straight or two
// of them interleaved ("q1w2e3r4").
func walk(s string) bool {
	if len(s) < 3 {
		return false
	}
	var even, odd strings.Builder
	for i, r := range []rune(s) {
		if i%2 == 0 {
			even.WriteRune(r)
		} else {
			odd.WriteRune(r)
		}
	}
	few := utf8.RuneCountInString(s) / 3
	return runs(s) <= few || runs(even.String())+runs(odd.String()) <= few
}

// runs counts the pieces of s that lie along a row or repeat one character. Every
// piece of a run is a run, so that taking the longest each time finds the fewest.
func runs(s string) int {
	n := 0
	for len(s) > 0 {
		_, first := utf8.DecodeRuneInString(s)
		longest := first
		for longest+first <= len(s) && s[longest:longest+first] == s[:first] {
			longest += first
		}
		for _, row := range keyRows {
			at := strings.Index(row, s[:first])
			if at < 0 {
				continue
			}
			k := 0
			for k < len(s) && at+k < len(row) && s[k] == row[at+k] {
				k++
			}
			for k > 0 && k < len(s) && !utf8.RuneStart(s[k]) {
				k-- // the row ended inside a character
			}
			longest = max(longest, k)
		}
		s = s[longest:]
		n++
	}
	return n
}
