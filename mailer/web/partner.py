"""partner"""

from fastapi import APIRouter

router = APIRouter()
