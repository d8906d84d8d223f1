"""The posture classifier: looks at people, examples cut from them, training, calibration, measuring."""
