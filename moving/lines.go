package moving

import (
	"bufio"
	"errors"
	"io"
	"strings"
	"unicode/utf8"
)

// lines calls do with each line that is not empty and no comment, without white space
// around it.
func (f file) lines(r io.Reader, comments bool, do func(line int, text string) error) error {
	s := bufio.NewScanner(r)
	s.Buffer(make([]byte, 0, 64<<10), maxLine)
	line := 0
	for s.Scan() {
		line++
		text := s.Text()
		if line == 1 {
			text = strings.TrimPrefix(text, "\ufeff") // some editors begin so
		}
		if !utf8.ValidString(text) {
			return &Error{f.name, line, "it is no UTF-8 text; save the file as UTF-8"}
		}
		if strings.ContainsRune(text, 0) {
			return &Error{f.name, line, "it is no text"}
		}
		text = strings.TrimSpace(text)
		if text == "" || comments && text[0] == '#' {
			continue
		}
		if err := do(line, text); err != nil {
			return err
		}
	}
	if errors.Is(s.Err(), bufio.ErrTooLong) {
		return &Error{f.name, line + 1, "the line is longer than 256 KiB; is it the right file?"}
	}
	return s.Err()
}
