// Package qr draws QR codes as SVG, for the set-up page of authenticator apps.
// The drawing needs neither script nor style sheet, so that a strict content
// security policy does not hide it.
package qr
