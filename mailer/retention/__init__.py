"""Retention: how long each kind of thing is kept, and forgetting it when its time has come.

It runs by itself from the timetable, in small transactions; told twice it does nothing twice. What reports
add up stays (GDPR art. 5(1)(e), PIPL art. 19 and 47: no longer than the purpose needs).
"""
