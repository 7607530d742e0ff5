//go:build tools

// Package tools names the command this module exists to build, so that its
// dependencies stay in go.mod.
package tools

import _ "github.com/pulumi/pulumi/pkg/v3/cmd/pulumi"
