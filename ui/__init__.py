"""The live page: what the jobs do, read from checkpoints, lake and warehouse; it never asks a driver."""
