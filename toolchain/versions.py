"""Versions of what is installed; `requirements.lock` and the modules' go.mod say the same."""

PULUMI = "3.256.0"
DOCKER_PLUGIN = "5.2.0"

GO = "1.26.8"
GO_MINIMUM = (1, 26)
# Go's checksum database (sum.golang.org) on golang.org/toolchain v0.0.1-go1.26.8.<platform>.
GO_CHECKSUMS = {
    "linux-amd64": "h1:ZOmGe1OnfREDMIdb1Qi4G9JSuDPBLGExZMQ4nis1RXM=",
    "linux-arm64": "h1:sYL/O6MqS68ML0kjsQ36WoYIpJqkw60TxizWUYUKQMc=",
    "darwin-amd64": "h1:7/9KPPN8PckcA9s91hm2jmQMhzW4KyTJXHIs45L0C9M=",
    "darwin-arm64": "h1:dFjGhY6f8DTsY8/rLchUTDRRfjJP4pCrGCwxvHFT2Fg=",
}
