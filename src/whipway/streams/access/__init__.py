"""Who may: keys, tokens, roles and rights, and the rules at the doors of WHIP and RTMP."""
