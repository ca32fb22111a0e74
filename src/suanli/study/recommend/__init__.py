"""Deployment search: every legal layout of a model under objectives and one limited resource."""

from suanli.study.recommend.answer import Recommendation, recommend
from suanli.study.recommend.question import Limit, Question, read_limit

__all__ = ["Limit", "Question", "Recommendation", "read_limit", "recommend"]
