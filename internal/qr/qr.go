package qr

import (
	"errors"
	"fmt"
	"image/color"
	"strings"

	"github.com/boombuler/barcode/qr"
)

// quiet is the white border that readers need, in modules.
const quiet = 4

// maxText keeps a caller's mistake from making a drawing that no camera reads.
const maxText = 1024

// SVG draws the text as a QR code, size pixels wide and high: dark modules as
// one path on a white ground, with its quiet zone, whatever colours the page
// has. The text is in the drawing, so the drawing is as secret as the text; the
// error never repeats it.
func SVG(text string, size int) (string, error) {
	if text == "" || len(text) > maxText || size < 1 {
		return "", errors.New("drawing a QR code: no text, too much of it, or no size")
	}
	code, err := qr.Encode(text, qr.M, qr.Auto)
	if err != nil {
		// The library's error may repeat the text.
		return "", errors.New("drawing a QR code: the text cannot be encoded")
	}
	bounds := code.Bounds()
	n := bounds.Dx()
	dark := func(x, y int) bool {
		return color.GrayModel.Convert(code.At(bounds.Min.X+x, bounds.Min.Y+y)).(color.Gray).Y < 128
	}

	var path strings.Builder
	for y := range n {
		for x := 0; x < n; {
			if !dark(x, y) {
				x++
				continue
			}
			start := x
			for x < n && dark(x, y) {
				x++
			}
			fmt.Fprintf(&path, "M%d %dh%dv1h-%dz", start+quiet, y+quiet, x-start, x-start)
		}
	}
	full := n + 2*quiet
	return fmt.Sprintf(`<svg xmlns="http://www.w3.org/2000/svg" width="%d" height="%d" viewBox="0 0 %d %d" shape-rendering="crispEdges">`+
		`<rect width="%d" height="%d" fill="#fff"/><path fill="#000" d="%s"/></svg>`,
		size, size, full, full, full, full, path.String()), nil
}
