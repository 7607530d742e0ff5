//go:build tools

// Package tools pins the linter of the workflows, so that `go build` finds it.
package tools

import _ "github.com/rhysd/actionlint/cmd/actionlint"
